"""骰子、猜、加入: the dice games in the chat; their rules are in `games/dice*.py`.

A repeat finds its own move: in the round that is open, or in the one that has ended meanwhile
(`Desk.played`). No answer to a move depends on when it is asked for.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.model import Reply
from bot.rounds.desk import MoveWord
from bot.rounds.life import Played
from bot.rounds.play import Announcing, Game, IllegalPlayError, Telling
from bot.routing.context import Context, Question
from bot.routing.router import Route, Router
from bot.storage.redis.inbox import Standing
from bot.storage.redis.rounds import OpenRound, Round
from games.dice import MOST_DICE, MOST_FACES, SIZES, SUMS, Triples, parse_dice, throw, ways, wins
from games.dice_compare import CompareSettings, DiceCompare
from games.dice_point import DicePoint, PointSettings
from games.dice_size import DiceSize, SizeSettings
from games.dice_sum import DiceSum, SumSettings, given_back
from games.fairness import SEED_BYTES, Luck
from games.rules import IllegalMoveError
from handlers.play import RulesInPlay
from handlers.round_talk import (
    Found,
    Reader,
    Say,
    begin,
    commitment_line,
    duration,
    illegal,
    not_done,
    proof_line,
    read_words,
    refund_line,
)

router = Router("dice")

_POINT, _SIZE, _SUM, _COMPARE = "dice_point", "dice_size", "dice_sum", "dice_compare"
_PLAYS = {rules.name: RulesInPlay(rules) for rules in (DicePoint(), DiceSize(), DiceSum(), DiceCompare())}

_SHOWN_NAMES = 10
_SHOWN_ROWS = 10
_JUST_ENDED_MS = 600_000  # as long it is likely that somebody means the round that has ended
_LATE_THROW_MS = 30_000
_USUAL_STAKE = 20  # of examples

# Throws outside of rounds: nobody foretells them, and the same event throws the same here.
_SEED = secrets.token_bytes(SEED_BYTES)


# ---------------------------------------------------------------- 骰子、加入


@router.command("骰子", "掷骰子", "dice", takes_text=True, personal=True)
async def roll(ctx: Context) -> Reply:
    """Roll in 指定点数, or join 比大小, where one is open; else, and with NdM, throw outside of any round."""
    if ctx.rest:
        return _throw(ctx, ctx.normaliser.normalise(ctx.rest))
    found = await ctx.rounds.played(_POINT, _COMPARE)
    pointed = [one for one in found if one.game == _POINT]
    if pointed:
        return _rolled(ctx, await _play(pointed, lambda one: ctx.rounds.move(one, "roll")))
    if found:
        return await _join(ctx, found, free=True)
    recent = await ctx.rounds.recent(_POINT, _COMPARE)
    late = bool(recent) and ctx.event.sent_at_ms - recent[0][2] < _LATE_THROW_MS
    return _throw(ctx, "", late=late)


@router.command("加入", "join", personal=True)
async def join(ctx: Context) -> Reply:
    """Join 比大小."""
    found = await ctx.rounds.played(_COMPARE)
    return await _join(ctx, found) if found else await _nothing_open(ctx, _COMPARE)


def _throw(ctx: Context, said: str, *, late: bool = False) -> Reply:
    """Throw dice outside of any round; with `late`, who threw may have meant one that has just ended."""
    try:
        count, faces = parse_dice(said)
        dice = throw(Luck(_SEED, ctx.event.id), count, faces, "throw")
    except IllegalMoveError:
        return ctx.say("dice.no_dice", most_dice=MOST_DICE, most_faces=MOST_FACES)
    shown = _list(ctx.text, dice)
    lines = [ctx.text("dice.thrown" if count == 1 else "dice.thrown_sum", dice=shown, sum=sum(dice))]
    if late:
        lines.append(ctx.text("dice.thrown_late"))
    return Reply.text("\n".join(lines))


def _rolled(ctx: Context, play: Played) -> Reply:
    """Say what a roll in 指定点数 came to."""
    if play.result is None:
        return not_done(ctx, play)
    word, values = play.result
    if word == "rolled":
        return ctx.say("dice.rolled", value=values["value"], point=values["point"])
    if word == "too_soon":
        return ctx.say("dice.too_soon", seconds=values["wait_s"])
    if word == "won" and play.ended is not None:
        return Reply.text(f"{ctx.text('dice.won', value=values['value'])}\n{play.ended.told}")
    return ctx.say("round.over")  # somebody has won before


async def _join(ctx: Context, found: Sequence[OpenRound], *, free: bool = False) -> Reply:
    """Join the first of these rounds of 比大小 that takes one; with `free` none whose entry costs points."""
    entries = {one.id: await _entry_of(ctx, one) for one in found}
    if free and entries[found[0].id] and ctx.rounds.standing is Standing.NEW:
        return ctx.say("dice.entry_first", entry=entries[found[0].id])

    async def enter(one: OpenRound) -> Played:
        return await ctx.rounds.move(one, "join", entries[one.id])

    try:
        play = await _play(found, enter)
    except IllegalPlayError as error:
        return _illegal(ctx, error)
    if play.result is None:
        return not_done(ctx, play)
    if not play.received:
        return ctx.say("dice.already_compare")
    stake, count = play.result.values["stake"], play.result.values["entries"]
    paid = ctx.text("dice.with_entry", stake=stake, balance=play.balance) if stake else ""
    return ctx.say("dice.entered_compare", stake=paid, entries=count, wait=_wait(ctx))


async def _entry_of(ctx: Context, found: OpenRound) -> int:
    """Return what a member puts in to join a round of 比大小; 0 where it is not known any more."""
    known = await ctx.rounds.life.state(ctx.community, found.id)
    return 0 if known is None else int(known[1].settings.entry)


async def _play(found: Sequence[OpenRound], move: Callable[[OpenRound], Awaitable[Played]]) -> Played:
    """Move in the rounds, oldest first, until one takes it; else return the refusal that says most."""
    best = Played(MoveWord.OVER)
    for one in found:
        play = await move(one)
        if play.received:
            return play
        if best.word is MoveWord.OVER or (best.result is None and play.result is not None):
            best = play
    return best


def _illegal(ctx: Context, error: IllegalPlayError) -> Reply:
    """Say why something is no move."""
    if error.word == "stake_too_high":
        return ctx.say(
            "dice.stake_too_high" if error.values["most"] else "dice.no_stakes_now", **error.values
        )
    return illegal(ctx, error, prefix="dice")


def _wait(ctx: Context) -> str:
    """Say when there is a result; only a group is told of it unasked."""
    return ctx.text("dice.wait" if ctx.event.group_id else "dice.wait_direct")


async def _nothing_open(ctx: Context, *games: str) -> Reply:
    """Say that no round of these games is open, and what a manager would say to begin one."""
    recent = await ctx.rounds.recent(*games)
    if recent and ctx.event.sent_at_ms - recent[0][2] < _JUST_ENDED_MS:
        return ctx.say("round.over")
    rules, here = ctx.community.games, (ctx.event.channel, ctx.event.group_id)
    played = [game for game in games if game not in rules.off and here not in rules.off_in]
    if not played:
        return ctx.say("round.off")
    starts = [ctx.text(f"dice.start_{game}") for game in played]
    return ctx.say("dice.nothing_open", starts=_list(ctx.text, starts))


# ---------------------------------------------------------------- 猜


@dataclass(frozen=True, slots=True)
class _Guessing:
    """How 猜 is played in one game.

    Attributes:
        read: Returns what is played and the stake, of the words behind 猜 in normal form; None for words
            that are no guess in this game.
        answer: Says what came of a guess.
        form: Says how a guess in a round is written.
    """

    read: Callable[[str], tuple[str, int] | None]
    answer: Callable[[Context, Played], Reply]
    form: Callable[[Context, OpenRound], Awaitable[str]]


@router.command("猜", "猜大", "猜小", "猜单", "猜双", "guess", takes_text=True, personal=True)
async def guess(ctx: Context) -> Reply:
    """Guess in the first open round whose game knows such a guess."""
    word, rest = ctx.normaliser.command_words(ctx.said)
    said = ctx.normaliser.normalise(f"{word.removeprefix('猜').removeprefix('guess')} {rest}")
    found = await ctx.rounds.played(*_GUESSING)
    if not found:
        return await _nothing_open(ctx, *_GUESSING)
    for one in found:
        read = _GUESSING[one.game].read(said)
        if read is not None:
            return await _guess(ctx, [same for same in found if same.game == one.game], *read)
    return Reply.text("\n".join([await _GUESSING[one.game].form(ctx, one) for one in found]))


async def _guess(ctx: Context, rounds: Sequence[OpenRound], bet: str, stake: int) -> Reply:
    """Guess in the first of these rounds of one game that takes it."""
    try:
        play = await _play(rounds, lambda one: ctx.rounds.move(one, bet, stake))
    except IllegalPlayError as error:
        return _illegal(ctx, error)
    return not_done(ctx, play) if play.result is None else _GUESSING[rounds[0].game].answer(ctx, play)


_SIZE_GUESS = re.compile(
    r"(大|小|单|双|big|small|odd|even)(?: ?(?:押|stake)? ?(\d{1,9}) ?(?:积分|分|points?)?)?"
)
_SUM_GUESS = re.compile(r"(\d{1,2})点?(?:(?: | ?(?:押|stake) ?)(\d{1,9}) ?(?:积分|分|points?)?)?")
_SIZE_WORDS = {"大": "big", "小": "small", "单": "odd", "双": "even", **dict(zip(SIZES, SIZES, strict=True))}


def _read_size(said: str) -> tuple[str, int] | None:
    found = _SIZE_GUESS.fullmatch(said)
    return None if found is None else (_SIZE_WORDS[found[1]], int(found[2] or 0))


def _read_sum(said: str) -> tuple[str, int] | None:
    found = _SUM_GUESS.fullmatch(said)
    bet = "" if found is None else str(int(found[1]))
    return None if found is None or bet not in SUMS else (bet, int(found[2] or 0))


def _guessed(ctx: Context, play: Played) -> Reply:
    """Say what came of a guess on three dice."""
    assert play.result is not None, "only a move that was received has come to something"
    values = play.result.values
    bet, stake = _bet(ctx.text, values["bet"]), values["stake"]
    if not play.received:
        staked = ctx.text("dice.already_stake", stake=stake) if stake else ""
        return ctx.say("dice.already", bet=bet, stake=staked)
    staked = ctx.text("dice.with_stake", stake=stake, balance=play.balance) if stake else ""
    return ctx.say("dice.entered", bet=bet, stake=staked, entries=values["entries"], wait=_wait(ctx))


async def _guess_form(ctx: Context, found: OpenRound) -> str:
    """Say how a guess on three dice is written, with a stake where the round takes any."""
    known = await ctx.rounds.life.state(ctx.community, found.id)
    most = known[1].settings.stake_most if known is not None and ctx.community.games.stakes else 0
    stake = (
        ctx.text(f"dice.guess_stake_{found.game}", example=min(_USUAL_STAKE, most), most=most) if most else ""
    )
    return ctx.text(f"dice.guess_form_{found.game}", stake=stake)


_GUESSING: Mapping[str, _Guessing] = {
    _SIZE: _Guessing(_read_size, _guessed, _guess_form),
    _SUM: _Guessing(_read_sum, _guessed, _guess_form),
}

# What people write without the space that makes it a command.
_GLUED_GUESS = re.compile(
    r"[/#]?猜(?:[大小单双] ?押? ?\d{1,9}|\d{1,2}点?(?:(?: | ?押 ?)\d{1,9})?)(?:积分|分)?"
)
_GLUED_DICE = re.compile(r"[/#]?(?:掷?骰子|dice)(\d{0,2}d\d{1,4})")


@router.text
def find_glued(question: Question) -> Route | None:
    """Find 猜11, 猜大50 and 骰子3d6."""
    if _GLUED_GUESS.fullmatch(question.text):
        return Route(f"{router.name}.guess", guess, word="猜", personal=True)
    found = _GLUED_DICE.fullmatch(question.text)
    if found is not None:
        return Route(f"{router.name}.roll", roll, word="骰子", rest=found[1], personal=True)
    return None


# ---------------------------------------------------------------- 开局


def _number(setting: str) -> Reader:
    """Return what reads a setting that is the only number of its word."""

    def read(found: Found) -> Mapping[str, object]:
        return {setting: int(next(filter(None, found.groups())))}

    return read


_PRIZE = (
    re.compile(r"(?:奖金?|奖励|prize)[:=]?(\d{1,9})(?:积分|分)?|(\d{1,9})(?:积分|分|points?)"),
    _number("prize"),
)
_STAKE = (
    re.compile(r"(?:最多)?押(?:注|分)?(?:最多)?[:=]?(\d{1,9})(?:积分|分)?|stake[:=]?(\d{1,9})"),
    _number("stake_most"),
)
_READERS: Mapping[str, Sequence[tuple[re.Pattern[str], Reader]]] = {
    _POINT: (
        _PRIZE,
        (re.compile(r"(?:点数?|掷出|point[:=]?)?(\d)点?"), _number("point")),
        (re.compile(r"(?:间隔|interval)[:=]?(\d{1,6})(?:秒|s)?"), _number("interval_s")),
    ),
    _SIZE: (
        _PRIZE,
        _STAKE,
        (re.compile(r"豹子(?:输|通吃)|triples[:=]?lose"), lambda _: {"triples": "lose"}),
        (re.compile(r"豹子(?:照常?)?算|triples[:=]?count"), lambda _: {"triples": "count"}),
        (re.compile(r"(?:豹子|triples).*"), lambda found: {"triples": found[0]}),
    ),
    _SUM: (_PRIZE, _STAKE),
    _COMPARE: (
        _PRIZE,
        (re.compile(r"(\d{1,3})[颗个](?:骰子)?|(\d{1,3})dice|dice[:=]?(\d{1,3})"), _number("dice")),
        (re.compile(r"(?:入场费?|entry)[:=]?(\d{1,9})(?:积分|分)?"), _number("entry")),
        (re.compile(r"(?:至少|最少)?(\d{1,3})人|least[:=]?(\d{1,3})"), _number("least_players")),
    ),
}
_STAKED = {_SIZE: "stake_most", _SUM: "stake_most", _COMPARE: "entry"}


def _starter(game: str) -> Callable[[Context, str], Awaitable[Reply]]:
    """Return what begins a round of a game."""

    async def start(ctx: Context, text: str) -> Reply:
        return await _start(ctx, game, text)

    return start


async def _start(ctx: Context, game: str, text: str) -> Reply:
    wanted = read_words(ctx.normaliser.normalise(text), _READERS[game])
    stakes, staked = ctx.community.games.stakes, _STAKED.get(game, "")
    more = ctx.text(f"dice.form_{staked}") if staked and stakes else ""
    form = ctx.text(f"dice.form_{game}", stakes=more)
    if staked and not stakes:
        if wanted.given.get(staked):
            return ctx.say("dice.stakes_off")
        wanted = replace(wanted, given={**wanted.given, staked: 0})
    started, refused = await begin(ctx, game, wanted, form=form)
    return refused if started is None else Reply.text(_announcement(ctx.text, started.round))


def announce(announcing: Announcing) -> str:
    """Announce a round that nobody in the chat has begun."""
    return _announcement(announcing.text, announcing.round)


def _announcement(text: Say, played: Round) -> str:
    settings = _PLAYS[played.game].read(played.settings)
    lasts = duration(text, (played.ends_at_ms - played.at_ms) // 1000)
    lines = [*_ANNOUNCE[played.game](text, settings, lasts), commitment_line(text, played)]
    return "\n".join(lines)


def _announce_point(text: Say, settings: PointSettings, lasts: str) -> list[str]:
    how = "dice.how_point" if settings.interval_s else "dice.how_point_at_will"
    return [
        text("dice.started_dice_point", point=settings.point, prize=settings.prize),
        text(how, seconds=settings.interval_s, lasts=lasts),
    ]


def _announce_size(text: Say, settings: SizeSettings, lasts: str) -> list[str]:
    lines = [text("dice.started_dice_size", lasts=lasts), text("dice.how_size")]
    if settings.prize:
        lines.append(text("dice.prize_shared", prize=settings.prize))
    lines.append(text(f"dice.triples_{settings.triples}", ways=ways("big", settings.triples)))
    if settings.stake_most:
        most = settings.stake_most
        lines.append(text("dice.stakes_size", example=min(_USUAL_STAKE, most), most=most))
    return lines


def _announce_sum(text: Say, settings: SumSettings, lasts: str) -> list[str]:
    lines = [text("dice.started_dice_sum", lasts=lasts), text("dice.how_sum")]
    if settings.prize:
        lines.append(text("dice.prize_shared", prize=settings.prize))
    if settings.stake_most:
        most = settings.stake_most
        pairs = ((low, 21 - low) for low in range(3, 11))  # a sum and the one from above fall as often
        returns = [
            text("dice.return", low=low, high=high, back=given_back(str(low), 10)) for low, high in pairs
        ]
        lines.append(
            text(
                "dice.stakes_sum",
                example=min(_USUAL_STAKE, most),
                most=most,
                returns=_list(text, returns),
            )
        )
    return lines


def _announce_compare(text: Say, settings: CompareSettings, lasts: str) -> list[str]:
    lines = [
        text("dice.started_dice_compare", dice=settings.dice, lasts=lasts),
        text("dice.how_compare_entry" if settings.entry else "dice.how_compare"),
    ]
    if settings.prize:
        lines.append(text("dice.prize_one", prize=settings.prize))
    if settings.entry:
        lines.append(text("dice.entry", entry=settings.entry))
    lines.append(text("dice.least_entry" if settings.entry else "dice.least", least=settings.least_players))
    return lines


_ANNOUNCE: Mapping[str, Callable[[Say, Any, str], list[str]]] = {
    _POINT: _announce_point,
    _SIZE: _announce_size,
    _SUM: _announce_sum,
    _COMPARE: _announce_compare,
}


# ---------------------------------------------------------------- the end


def tell(telling: Telling) -> str:
    """Tell the end of a round: the dice, who won what, and how to check it."""
    played = telling.round
    name = telling.text(f"dice.name_{played.game}")
    lines = [telling.text(f"dice.ended_{played.end}", game=name)]
    if played.end != "cancelled":
        lines += _TELL[played.game](telling)
    elif played.staked:
        lines.append(_back(telling))
    # What is left of stakes is no prize that nobody got; only who paid from their own points is told of it.
    refund = refund_line(telling) if played.payer or not played.staked else ""
    if refund:
        lines.append(refund)
    lines.append(proof_line(telling))
    return "\n".join(lines)


def _back(telling: Telling) -> str:
    return telling.text("dice.entries_back" if telling.round.game == _COMPARE else "dice.stakes_back")


def _tell_point(telling: Telling) -> list[str]:
    facts = telling.facts
    winner, point, rolls = str(facts["winner"]), facts["point"], facts["rolls"]
    if winner:
        prize, name = telling.state.settings.prize, telling.name(winner)
        return [telling.text("dice.point_won", name=name, point=point, prize=prize, rolls=rolls)]
    if not rolls:
        return [telling.text("dice.point_not_rolled")]
    return [telling.text("dice.point_not_won", rolls=rolls, point=point)]


def _tell_size(telling: Telling) -> list[str]:
    facts, settings = telling.facts, telling.state.settings
    if not facts["entries"]:
        return [telling.text("dice.nobody")]
    dice = facts["dice"]
    lines = [
        telling.text(
            "dice.size_dice",
            dice=_list(telling.text, dice),
            sum=facts["sum"],
            size=_bet(telling.text, "big" if wins("big", dice) else "small"),
            parity=_bet(telling.text, "odd" if wins("odd", dice) else "even"),
        )
    ]
    if facts["triple"]:
        loses = settings.triples is Triples.LOSE
        lines.append(telling.text("dice.triple_loses" if loses else "dice.triple_counts"))
    return [*lines, _right(telling, shows_bets=True)]


def _tell_sum(telling: Telling) -> list[str]:
    facts = telling.facts
    if not facts["entries"]:
        return [telling.text("dice.nobody")]
    dice = _list(telling.text, facts["dice"])
    shown = telling.text("dice.sum_dice", dice=dice, sum=facts["sum"], ways=facts["ways"])
    return [shown, _right(telling, shows_bets=False)]


def _right(telling: Telling, *, shows_bets: bool) -> str:
    """Say who was right, and what each gets."""
    facts = telling.facts
    entries, winners, each = facts["entries"], facts["winners"], facts["each"]
    if not winners:
        return telling.text("dice.nobody_right", entries=entries)
    back = {award.member: award.points for award in telling.awards if award.why == "winnings"}
    names = _names(
        telling, winners, lambda member: _winner(telling, member, back.get(member, 0), shows_bets=shows_bets)
    )
    if not each:
        return telling.text("dice.right", entries=entries, count=len(winners), names=names)
    key = "dice.right_alone" if len(winners) == 1 and entries > 1 else "dice.right_prize"
    return telling.text(key, entries=entries, count=len(winners), each=each, names=names)


def _winner(telling: Telling, member: str, back: int, *, shows_bets: bool) -> str:
    """Return the name of who was right, with what they had bet where that is not the same for all."""
    name, move = telling.name(member), telling.state.entries[member]
    if not shows_bets:
        return telling.text("dice.with_back", name=name, stake=move.stake, back=back) if move.stake else name
    bet = _bet(telling.text, move.said)
    if not move.stake:
        return telling.text("dice.with_bet", name=name, bet=bet)
    return telling.text("dice.with_bet_back", name=name, bet=bet, stake=move.stake, back=back)


def _tell_compare(telling: Telling) -> list[str]:
    facts, players = telling.facts, telling.facts["players"]
    if not players:
        return [telling.text("dice.nobody")]
    if facts["too_few"]:
        names = _names(telling, players, telling.name)
        lines = [telling.text("dice.too_few", least=facts["least"], count=len(players), names=names)]
        return [*lines, _back(telling)] if telling.round.staked else lines
    winner, name = facts["winner"], telling.name(facts["winner"])
    sums = dict(zip(players, facts["sums"], strict=True))
    order = sorted(players, key=lambda member: (-sums[member], member != winner))
    lines = [
        telling.text(
            "dice.row_won" if member == winner else "dice.row",
            place=place,
            name=telling.name(member),
            sum=sums[member],
        )
        for place, member in enumerate(order[:_SHOWN_ROWS], 1)
    ]
    if len(order) > _SHOWN_ROWS:
        lines.append(telling.text("dice.more_rows", count=len(order) - _SHOWN_ROWS))
    if facts["ties"]:
        equal = [member for member in players if sums[member] == sums[winner]]
        names = _names(telling, equal, telling.name)
        lines.append(telling.text("dice.sudden_death", names=names, ties=facts["ties"], name=name))
    won = {award.why: award.points for award in telling.awards if award.member == winner}
    prize, entries = won.get("prize", 0), won.get("entries", 0)
    if prize and entries:
        points = prize + entries
        won_line = telling.text(
            "dice.compare_won_both", name=name, points=points, prize=prize, entries=entries
        )
    else:
        key = "dice.compare_won_points" if prize or entries else "dice.compare_won"
        won_line = telling.text(key, name=name, points=prize or entries)
    return [*lines, won_line]


_TELL: Mapping[str, Callable[[Telling], list[str]]] = {
    _POINT: _tell_point,
    _SIZE: _tell_size,
    _SUM: _tell_sum,
    _COMPARE: _tell_compare,
}


# ---------------------------------------------------------------- words


def _list(text: Callable[..., str], items: Sequence[object]) -> str:
    return text("dice.between").join(map(str, items))


def _bet(text: Callable[..., str], bet: str) -> str:
    return text(f"dice.bet_{bet}") if bet in SIZES else bet


def _names(telling: Telling, members: Sequence[str], called: Callable[[str], str]) -> str:
    """Return how members are called, the first of many and how many there are."""
    names = _list(telling.text, [called(member) for member in members[:_SHOWN_NAMES]])
    more = len(members) > _SHOWN_NAMES
    return telling.text("dice.names_more", names=names, count=len(members)) if more else names


def _offer(game: str, words: tuple[str, ...], help_key: str) -> None:
    router.game(
        Game(
            _PLAYS[game],
            tell,
            (*words, game),
            start=_starter(game),
            help_key=help_key,
            announce=announce,
        )
    )


_offer(_POINT, ("指定点数", "点数"), "dice.help_point")
_offer(_SIZE, ("猜大小", "大小", "单双", "猜单双"), "dice.help_size")
_offer(_SUM, ("猜点数",), "dice.help_sum")
_offer(_COMPARE, ("比大小",), "dice.help_compare")
