"""What the talk of all games shares: how a round is begun in words, and why something was not done."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.model import LONGEST_ROUND_S, SHORTEST_ROUND_S, Reply
from bot.rounds.desk import MoveWord
from bot.rounds.life import Played
from bot.rounds.orders import NotPlayedError, Started
from bot.rounds.play import IllegalPlayError, SettingError, Telling
from bot.routing.context import Context
from bot.storage.redis.rounds import OpenRefused, Round

SHOWN_COMMITMENT = 32  # hexadecimal digits in the chat: nobody prepares two seeds that share them

_NOT_PLAYED = {"off": "round.off", "unknown": "round.no_game", "stakes": "round.stakes_off"}
_BETWEEN = re.compile(r"[\s,，、;；+]+")
_LIFE = re.compile(r"(?:时长|限时|life)?(\d{1,6})(秒钟?|s|分钟|min|m|小时|h|天|d)")
_SECONDS = {
    "秒": 1,
    "秒钟": 1,
    "s": 1,
    "分钟": 60,
    "min": 60,
    "m": 60,
    "小时": 3600,
    "h": 3600,
    "天": 86_400,
    "d": 86_400,
}

Say = Callable[..., str]
"""Fills in a text of `content/`: ``say(key, **values)``."""

Found = re.Match[str]
Reader = Callable[[Found], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command asks of a round: settings, how long it lives (None: as usual), and what is not known.

    `wrong_life` is a length of time that no round may have.
    """

    given: dict[str, object] = field(default_factory=dict)
    life_s: int | None = None
    unknown: str = ""
    wrong_life: str = ""


def read_words(text: str, readers: Sequence[tuple[re.Pattern[str], Reader]]) -> Wanted:
    """Read the words behind a command, each by the first pattern that it is a whole of.

    A length of time, such as 90秒 or 2小时, is known to every game. The first word that nothing knows stands
    in `unknown`.
    """
    given: dict[str, object] = {}
    life_s: int | None = None
    for word in filter(None, _BETWEEN.split(text)):
        lasting = _LIFE.fullmatch(word.lower())
        if lasting is not None:
            life_s = int(lasting[1]) * _SECONDS[lasting[2]]
            if not SHORTEST_ROUND_S <= life_s <= LONGEST_ROUND_S:
                return Wanted(given, None, wrong_life=word)
            continue
        for pattern, read in readers:
            found = pattern.fullmatch(word)
            if found is not None:
                given.update(read(found))
                break
        else:
            return Wanted(given, life_s, word)
    return Wanted(given, life_s)


async def begin(
    ctx: Context, game: str, wanted: Wanted, *, form: str, payer: str = ""
) -> tuple[Started | None, Reply]:
    """Begin a round, or say why not; `form` is the text that shows how the command is written.

    Returns:
        The round, with an empty reply; or None with what to say.
    """
    if wanted.unknown:
        return None, Reply.text(f"{ctx.text('round.unknown_word', word=wanted.unknown)}\n{form}")
    if wanted.wrong_life:
        return None, Reply.text(f"{ctx.text('round.wrong_life', word=wanted.wrong_life)}\n{form}")
    try:
        started = await ctx.rounds.start(game, wanted.given, payer=payer, life_s=wanted.life_s)
    except NotPlayedError as error:
        return None, ctx.say(_NOT_PLAYED[error.word])
    except SettingError as error:
        return None, Reply.text(
            f"{ctx.text('round.bad_setting', problem=_problem(ctx, game, error))}\n{form}"
        )
    opened = started.opened
    if opened.refused is OpenRefused.BUSY:
        return None, ctx.say("round.busy")
    if opened.refused is OpenRefused.RESTING:
        wait_s = max(1, -(-(opened.figure - ctx.now_ms) // 1000))
        return None, ctx.say("round.resting", seconds=wait_s)
    if opened.refused is OpenRefused.POOR:
        return None, ctx.say("round.host_poor", pot=started.round.pot, balance=opened.figure)
    if opened.refused is OpenRefused.BUDGET:
        budget = ctx.community.games.budget_per_day
        return None, ctx.say("round.budget", pot=started.round.pot, left=opened.figure, budget=budget)
    return started, Reply(())


def _problem(ctx: Context, game: str, error: SettingError) -> str:
    """Return what is wrong with a setting, in the words of the game's texts where they have any."""
    key = f"setting.{game}.{error.setting}"
    return ctx.text(key) if key in ctx.catalog.keys else str(error)


def not_done(ctx: Context, play: Played) -> Reply:
    """Say why a move was not received; for what no game has words of its own for."""
    match play.word:
        case MoveWord.CAPPED:
            return ctx.say(f"round.capped_{play.why}")
        case MoveWord.POOR:
            return ctx.say("round.poor", balance=play.balance)
        case MoveWord.BUDGET:
            return ctx.say("round.house_poor")
        case MoveWord.REFUSED:
            return ctx.say(f"round.refused_{play.why}")
        case MoveWord.FULL:
            return ctx.say("round.full")
        case _:
            return ctx.say("round.over")


def illegal(ctx: Context, error: IllegalPlayError, *, prefix: str) -> Reply:
    """Say why something is no move: the game's text ``<prefix>.<word>``."""
    if error.word == "stakes_off":
        return ctx.say("round.stakes_off")
    return Reply.text(ctx.text(f"{prefix}.{error.word}", **error.values))


def commitment_line(text: Say, played: Round) -> str:
    """Return the line under the announcement of a round that makes its chance checkable."""
    return text("round.commitment", id=played.id, commitment=played.commitment[:SHOWN_COMMITMENT])


def proof_line(telling: Telling) -> str:
    """Return the line under the end of a round by which anybody can check it."""
    line = telling.text("round.proof", id=telling.round.id, seed=telling.round.seed)
    return f"{line}\n{telling.text('round.page', page=telling.page)}" if telling.page else line


def refund_line(telling: Telling) -> str:
    """Return who got back how much; empty for nothing."""
    played = telling.round
    if not played.refund:
        return ""
    if played.payer:
        return telling.text("round.refund_member", points=played.refund, name=telling.name(played.payer))
    return telling.text("round.refund_budget", points=played.refund)


def duration(text: Say, seconds: int) -> str:
    """Return a length of time in words."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length and seconds % length == 0:
            return text(f"round.{unit}", count=seconds // length)
    return text("round.seconds", count=seconds)
