"""发红包、抢: red packets in the chat; the rules are in `games/red_packet.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from bot.model import Reply
from bot.rounds.desk import MoveWord
from bot.rounds.life import Played
from bot.rounds.orders import Started
from bot.rounds.play import Announcing, Game, Telling
from bot.routing.context import Context
from bot.routing.names import display_name
from bot.routing.router import Router
from bot.storage.redis.inbox import Standing
from bot.storage.redis.rounds import OpenRound, Round
from games.red_packet import RedPacket, RedPacketSettings, Row, results, seat_of
from handlers.play import RulesInPlay
from handlers.round_talk import (
    Found,
    Say,
    Wanted,
    begin,
    commitment_line,
    duration,
    not_done,
    proof_line,
    read_words,
    refund_line,
)

router = Router("red_packets")

_GAME = "red_packet"
_SHOWN_ROWS = 10
_JUST_ENDED_MS = 600_000
# Of several packets that give nothing, why not is told of the one whose reason tells most.
_TELLING = {MoveWord.OVER: 0, MoveWord.GONE: 0, MoveWord.ALREADY: 1}
_EXTRAS = ("tail", "sofa", "floor", "lucky")

_PLAY = RulesInPlay(RedPacket(), listens=True, conditions=True)

# ---------------------------------------------------------------- how a packet is written

_AMOUNT = re.compile(r"\s*(\d{1,9})(?:积分|分)?\s+(\d{1,6})(?:份|个)?(?:\s+|$)(.*)", re.DOTALL)
# What may hold spaces or commas of its own is taken out before the rest is cut into words.
_BLESSING = re.compile(r"(?:祝福|blessing)\s*[:：=]?\s*(.+)$", re.DOTALL)
_WORD = re.compile(r"(?:口令|word)\s*[:：=]?\s*(\S+)")
_TAIL = re.compile(r"(?:逢|tail)\s*(\d(?:[\s、,，]*\d)*)\s*(?:有?奖|=)\s*(\d{1,7})")
_OWN = re.compile(r"自付|自己出|我的积分|own")


def _sofa(found: Found) -> Mapping[str, object]:
    return {"sofa": int(found[1] or 1), "sofa_prize": int(found[2])}


def _floor(found: Found) -> Mapping[str, object]:
    return {"floor": int(found[1]), "floor_prize": int(found[2])}


_READERS = (
    (re.compile(r"拼手气|手气|随机|random"), lambda _: {"split": "random"}),
    (re.compile(r"均分|平分|普通|equal"), lambda _: {"split": "equal"}),
    (re.compile(r"(?:最佳手气奖?|最佳|手气王|best)(\d{1,7})"), lambda found: {"best": int(found[1])}),
    (re.compile(r"(?:安慰奖?|consolation)(\d{1,7})"), lambda found: {"consolation": int(found[1])}),
    (re.compile(r"(?:抢?沙发|first)(?:前?(\d{1,3})[人名个]?)?(?:奖|=)(\d{1,7})"), _sofa),
    (re.compile(r"(?:第|place)?(\d{1,3})楼?(?:奖|=)(\d{1,7})"), _floor),
    (re.compile(r"(?:幸运奖?|lucky)(\d{1,7})"), lambda found: {"lucky_prize": int(found[1])}),
    (re.compile(r"今[日天]签到|签过到|需?签到|checkedin"), lambda _: {"checked_in": True}),
    (re.compile(r"(?:入群满?|member)(\d{1,4})(?:天|d)"), lambda found: {"member_days": int(found[1])}),
)


def read_packet(text: str) -> tuple[Wanted, bool] | None:
    """Read what follows 发红包; None where amount or number of shares is missing.

    Returns:
        What is wanted, and whether the sender's own points are to pay.
    """
    amount = _AMOUNT.fullmatch(text)
    if amount is None:
        return None
    given: dict[str, object] = {"total": int(amount[1]), "shares": int(amount[2])}
    rest = amount[3]
    for pattern, take in (
        (_BLESSING, lambda found: {"blessing": found[1].strip()}),
        (_WORD, lambda found: {"word": found[1]}),
        (_TAIL, lambda found: {"tail_digits": re.sub(r"\D", "", found[1]), "tail_prize": int(found[2])}),
    ):
        found = pattern.search(rest)
        if found is not None:
            given.update(take(found))
            rest = f"{rest[: found.start()]} {rest[found.end() :]}"
    own = _OWN.search(rest) is not None
    wanted = read_words(_OWN.sub(" ", rest), _READERS)
    return replace(wanted, given={**given, **wanted.given}), own


# ---------------------------------------------------------------- 发红包


@router.command("发红包", "packet", takes_text=True)
async def send_packet(ctx: Context) -> Reply:
    """Begin a packet: from the budget for managers, from one's own points where the community allows it."""
    if not (ctx.is_manager or ctx.community.games.from_members):
        ctx.personal = True
        return ctx.say("common.managers_only", command=ctx.word)
    return await start(ctx, ctx.rest_as_sent)


async def start(ctx: Context, rest: str) -> Reply:
    """Begin the packet that is written so."""
    form = ctx.text("packet.form")
    read = read_packet(rest)
    if read is None:
        return Reply.text(form)
    wanted, own = read
    payer = ctx.event.member_id if own or not ctx.is_manager else ""
    started, refused = await begin(ctx, _GAME, wanted, form=form, payer=payer)
    return refused if started is None else await _announce(ctx, started)


async def _announce(ctx: Context, started: Started) -> Reply:
    member = await ctx.stores.members.get(ctx.community.id, ctx.event.member_id)
    name = display_name(member.name, ctx.event.user_id)
    return Reply.text("\n".join(_lines(ctx.text, started.round, name)))


def announce(announcing: Announcing) -> str:
    """Announce a packet that nobody in the chat has sent."""
    name = announcing.text("packet.community", name=announcing.community.name)
    return "\n".join(_lines(announcing.text, announcing.round, name))


def _lines(text: Say, played: Round, name: str) -> list[str]:
    """Return what is said of a packet when it begins."""
    settings = _settings(played.settings)
    split = text(f"packet.split_{settings.split}")
    lines = [text("packet.sent", name=name, total=settings.total, shares=settings.shares, split=split)]
    if settings.blessing:
        lines.append(text("packet.blessing", blessing=settings.blessing))
    extras = _extras(text, settings)
    if extras:
        lines.append(text("packet.extras", extras=text("packet.between").join(extras)))
    checked_in, days = _PLAY.conditions(played.settings)
    if checked_in:
        lines.append(text("packet.if_checked_in"))
    if days:
        lines.append(text("packet.if_member_days", days=days))
    lasts = duration(text, (played.ends_at_ms - played.at_ms) // 1000)
    if settings.word:
        lines.append(text("packet.how_word", word=settings.word, lasts=lasts))
    else:
        lines.append(text("packet.how", lasts=lasts))
    return [*lines, commitment_line(text, played)]


def _extras(text: Say, settings: RedPacketSettings) -> list[str]:
    """Say what a packet gives beside its shares."""
    extras = []
    if settings.best:
        extras.append(text("packet.extra_best", points=settings.best))
    if settings.tail_prize:
        digits = text("packet.between_digits").join(map(str, settings.tail_digits))
        extras.append(text("packet.extra_tail", digits=digits, points=settings.tail_prize))
    if settings.sofa_prize:
        extras.append(text("packet.extra_sofa", first=settings.sofa, points=settings.sofa_prize))
    if settings.floor_prize:
        extras.append(text("packet.extra_floor", floor=settings.floor, points=settings.floor_prize))
    if settings.lucky_prize:
        extras.append(text("packet.extra_lucky", points=settings.lucky_prize))
    if settings.consolation:
        extras.append(text("packet.extra_consolation", points=settings.consolation))
    return extras


def _settings(stored: str) -> RedPacketSettings:
    settings: RedPacketSettings = _PLAY.read(stored)
    return settings


# ---------------------------------------------------------------- 抢


@router.command("抢", "抢红包", "grab", personal=True)
async def grab(ctx: Context) -> Reply:
    """Take a share of the oldest packet here that asks for no word of its own."""
    return await _grab(ctx, "")


async def say_word(ctx: Context) -> Reply:
    """Take a share of the packet whose word was said."""
    return await _grab(ctx, ctx.normaliser.normalise(ctx.said))


async def _grab(ctx: Context, word: str) -> Reply:
    """Try the packets here, oldest first, until one gives a share."""
    found = [one for one in await ctx.rounds.played(_GAME) if one.word == word or _is_mine(ctx, one)]
    had: Played | None = None
    for one in found:
        play = await ctx.rounds.take(one)
        if play.received:
            return await _won(ctx, one, play)
        if had is None or _TELLING.get(play.word, 2) > _TELLING.get(had.word, 2):
            had = play
    return await _lost(ctx, had, word)


def _is_mine(ctx: Context, found: OpenRound) -> bool:
    """Whether a packet is the one that this very event has a share of, found again after its end."""
    return ctx.rounds.standing is not Standing.NEW and found not in ctx.rounds.open_rounds


async def _won(ctx: Context, found: OpenRound, play: Played) -> Reply:
    known = await ctx.rounds.life.state(ctx.community, found.id)
    assert known is not None, "who has a share of a packet has it in one that is known"
    _, state = known
    seat = seat_of(state, play.number + 1)
    said = [
        ctx.text(f"packet.won_{name}", points=getattr(seat, name)) for name in _EXTRAS if getattr(seat, name)
    ]
    lines = [
        ctx.text(
            "packet.won",
            points=play.points,
            seat=seat.number,
            share=seat.share,
            extras="".join(said),
            balance=play.balance,
        )
    ]
    if play.ended is not None:
        lines.append(play.ended.told)
    else:
        lines.append(ctx.text("packet.left", left=play.left))
    return Reply.text("\n".join(lines))


async def _lost(ctx: Context, had: Played | None, word: str) -> Reply:
    """Say why there was no share."""
    if had is not None and had.word is MoveWord.ALREADY:
        return ctx.say("packet.already", points=had.points, left=had.left)
    if had is not None and had.word not in {MoveWord.GONE, MoveWord.OVER}:
        return not_done(ctx, had)
    if had is None and not word and ctx.rounds.open(_GAME):
        return ctx.say("packet.needs_word")
    recent = await ctx.rounds.recent(_GAME)
    if had is not None or (recent and ctx.now_ms - recent[0][2] < _JUST_ENDED_MS):
        return ctx.say("packet.gone")
    return ctx.say("packet.none")


# ---------------------------------------------------------------- the end


def tell(telling: Telling) -> str:
    """Tell the end of a packet: who got what, how quickly, and how to check it."""
    played, rows = telling.round, results(telling.state)
    settings = telling.state.settings
    key = f"packet.ended_{played.end}"
    lines = [telling.text(key, total=settings.total, taken=len(rows), shares=settings.shares)]
    best = telling.facts.get("best_seat") if len(rows) > 1 else None
    lines += [_row(telling, row, place, best) for place, row in enumerate(_by_points(rows), 1)]
    if len(rows) > _SHOWN_ROWS:
        lines.append(telling.text("packet.more_rows", count=len(rows) - _SHOWN_ROWS))
    for award in telling.awards:
        name = telling.name(award.member)
        lines.append(telling.text(f"packet.award_{award.why}", name=name, points=award.points))
    if settings.lucky_prize and "lucky_member" in telling.facts:
        name = telling.name(str(telling.facts["lucky_member"]))
        lines.append(telling.text("packet.lucky_was", seat=telling.facts["lucky_seat"], name=name))
    refund = refund_line(telling)
    if refund:
        lines.append(refund)
    lines.append(proof_line(telling))
    return "\n".join(lines)


def _by_points(rows: tuple[Row, ...]) -> list[Row]:
    """Return the rows that are shown: the most points first, of equal ones the earlier seat."""
    return sorted(rows, key=lambda row: (-row.points, row.seat))[:_SHOWN_ROWS]


def _row(telling: Telling, row: Row, place: int, best: object) -> str:
    return telling.text(
        "packet.row_best" if row.seat == best else "packet.row",
        place=place,
        name=telling.name(row.member),
        points=row.points,
        seconds=max(0, row.at_ms - telling.round.at_ms) // 1000,
    )


router.game(
    Game(
        play=_PLAY,
        tell=tell,
        words=("红包", "red_packet"),
        start=start,
        announce=announce,
        heard=say_word,
        help_key="packet.help",
    )
)
