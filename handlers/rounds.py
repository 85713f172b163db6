"""开局、结束、结果、游戏: what all rounds of games have in common in the chat."""

from __future__ import annotations

import re

from bot.model import Reply
from bot.rounds.life import Ended
from bot.rounds.play import Game
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.rounds import OpenRound

router = Router("rounds")

_CANCEL = frozenset({"作废", "取消", "cancel"})
_AFTER_NAME = re.compile(r"[\s,、;]+")


@router.command("开局", "start", takes_text=True, for_managers=True)
async def start_round(ctx: Context) -> Reply:
    """Begin a round of the game that is named: ``开局 猜大小 奖100 60秒``."""
    name, rest = (*_AFTER_NAME.split(ctx.rest, maxsplit=1), "")[:2]
    game = find_game(ctx, name)
    if game is None or game.start is None:
        return ctx.say("round.start_form", games="、".join(_startable(ctx)))
    reply: Reply = await game.start(ctx, rest.strip())
    return reply


@router.command("结束", "stop", takes_text=True, for_managers=True)
async def stop_round(ctx: Context) -> Reply:
    """End the open round here, or the one whose game is named; with 作废 it counts for nothing."""
    before = await ctx.rounds.stopped()
    if before is not None:
        return Reply.text(before.told)
    words = ctx.rest.split()
    cancel = any(ctx.normaliser.normalise(word) in _CANCEL for word in words)
    names = [word for word in words if ctx.normaliser.normalise(word) not in _CANCEL]
    found = ctx.rounds.open()
    if names:
        game = find_game(ctx, names[0])
        if game is None:
            return ctx.say("round.no_such_game", name=names[0], games="、".join(_all_words(ctx)))
        found = tuple(one for one in found if one.game == game.play.name)
    if not found:
        return ctx.say("round.nothing_open")
    if len({one.game for one in found}) > 1:
        return ctx.say("round.which", games="、".join(_words_of(ctx, found)))
    ended = await ctx.rounds.stop(found[0], cancel=cancel)
    return ctx.say("round.nothing_open") if ended is None else Reply.text(ended.told)


@router.command("结果", "战绩", "results")
async def show_result(ctx: Context) -> Reply:
    """Show how the last round here ended."""
    for round_id, _, _ in await ctx.rounds.recent():
        ended = await ctx.rounds.told(round_id)
        if ended is not None:
            return Reply.text(ended.told)
    return ctx.say("round.no_result")


@router.command("验证", "proof", takes_text=True, personal=True)
async def check_round(ctx: Context) -> Reply:
    """Say how a round can be checked, the last one here or the one that is named, and by which mark."""
    wanted = ctx.normaliser.normalise(ctx.rest)
    ids = [wanted] if wanted else [round_id for round_id, _, _ in await ctx.rounds.recent()]
    for round_id in ids[:1]:
        ended = await ctx.rounds.told(round_id)
        if ended is not None:
            return Reply.text(_how_to_check(ctx, ended))
    return ctx.say("round.no_such_round" if wanted else "round.no_result")


def _how_to_check(ctx: Context, ended: Ended) -> str:
    played, member = ended.round, ctx.event.member_id
    mark = ctx.rounds.life.games[played.game].play.mark(played.id, member)
    lines = [
        ctx.text("round.check", id=played.id, commitment=played.commitment, seed=played.seed),
        ctx.text("round.your_mark", mark=mark),
    ]
    if ended.telling.page:
        lines.append(ctx.text("round.page", page=ended.telling.page))
    return "\n".join(lines)


@router.command("游戏", "玩法", "games", takes_text=True)
async def show_games(ctx: Context) -> Reply:
    """List the games that are played here, or explain the one that is named."""
    if ctx.rest:
        game = find_game(ctx, ctx.rest.split()[0])
        if game is None or not game.help_key:
            return ctx.say("round.no_such_game", name=ctx.rest, games="、".join(_all_words(ctx)))
        return ctx.say(game.help_key)
    lines = [ctx.text("round.games_title", games="、".join(_all_words(ctx)))]
    found = ctx.rounds.open()
    if found:
        lines.append(ctx.text("round.games_open", games="、".join(_words_of(ctx, found))))
    else:
        lines.append(ctx.text("round.games_none"))
    if ctx.is_manager:
        lines.append(ctx.text("round.games_manager"))
    return Reply.text("\n".join(lines))


def find_game(ctx: Context, name: str) -> Game | None:
    """Return the game that is called so, of those that are played in this community."""
    wanted = ctx.normaliser.normalise(name)
    for game in _played(ctx):
        if wanted == game.play.name or wanted in map(ctx.normaliser.normalise, game.words):
            return game
    return None


def _played(ctx: Context) -> list[Game]:
    games = ctx.rounds.life.games.values()
    return [game for game in games if game.play.name not in ctx.community.games.off]


def _all_words(ctx: Context) -> list[str]:
    return [game.words[0] for game in _played(ctx)]


def _startable(ctx: Context) -> list[str]:
    return [game.words[0] for game in _played(ctx) if game.start is not None]


def _words_of(ctx: Context, found: tuple[OpenRound, ...]) -> list[str]:
    games = ctx.rounds.life.games
    return list(dict.fromkeys(games[one.game].words[0] for one in found if one.game in games))
