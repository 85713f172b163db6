"""``rounds``: rounds of games: begun, looked at, cancelled, and proved to anybody.

Open rounds and those that ended lately are read where they are played, older ones in history. A round begun
here belongs to the community's budget. It is begun once for its request_id: the round's id comes from it.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Field

from bot.api.claims import claim
from bot.api.cursors import known_cursor
from bot.api.endpoint import Answer, Call, Endpoint, Form, Listed, ListQuery, Query, Role, Shown
from bot.api.ledger import RequestId
from bot.api.parts import ApiParts
from bot.api.problem import Flaw, ProblemError, invalid
from bot.api.times import Instant, rfc3339, rfc3339_or_none
from bot.config.values import did_you_mean
from bot.delivery.compose import Unprompted
from bot.delivery.routes import Sight
from bot.delivery.way import NoWay
from bot.errors import StoreUnavailableError
from bot.model import LONGEST_ROUND_S, SHORTEST_ROUND_S, Community, Text
from bot.rounds.orders import NotPlayedError, Order, Started, round_id
from bot.rounds.play import SettingError
from bot.rounds.proof import Proof
from bot.storage.redis.rounds import OpenRefused, Round, RoundState
from bot.storage.sql.deliveries import DeliveryHistory
from bot.storage.sql.rounds import KnownRound

_FEATURE = "games"
_MOST_SETTINGS = 100


class RoundsQuery(ListQuery):
    """Filters of the list."""

    game: Annotated[str | None, Field(max_length=64, description="Name of a game.")] = None
    state: Literal["open", "closed", "cancelled", "expired"] | None = None
    group: Annotated[
        str | None, Field(max_length=512, description="Id of a group, as `groups` names it.")
    ] = None


class RoundForm(Form):
    """An order to begin a round; whatever else it holds are settings of the game, such as `prize`."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, hide_input_in_errors=True)

    game: Annotated[str, Field(max_length=64, description="Name of a game, such as red_packet.")]
    group: Annotated[
        str | None,
        Field(
            max_length=512,
            description="Id of a group, as `groups` names it; null for the direct chats of the community.",
        ),
    ] = None
    life_s: Annotated[
        int | None,
        Field(
            ge=SHORTEST_ROUND_S,
            le=LONGEST_ROUND_S,
            description="How long it lives, seconds; null for as usual.",
        ),
    ] = None
    request_id: RequestId


class RoundShown(Shown):
    """A round of a game."""

    id: str
    game: str
    state: Annotated[str, Field(description="open, closed, cancelled or expired (its time was up).")]
    end: Annotated[
        str | None, Field(description="Why it ended: over, time, stopped or cancelled; null while open.")
    ]
    group: Annotated[str | None, Field(description="As `groups` names it; null for direct chats.")]
    host: Annotated[str, Field(description="Member id, or `api:<token name>`.")]
    payer: Annotated[str, Field(description="Whose points are the pot: `budget`, or a member id.")]
    settings: Annotated[dict[str, Any], Field(description="How it is played.")]
    commitment: Annotated[str, Field(description="SHA-256 of the seed, hexadecimal.")]
    seed: Annotated[str | None, Field(description="Hexadecimal; null until the end.")]
    pot: Annotated[int, Field(description="Points put in by who pays.")]
    staked: Annotated[int, Field(description="Points put in by members.")]
    house: Annotated[int, Field(description="Points held back from the budget for what stakes may win.")]
    paid: Annotated[int, Field(description="Points given to members.")]
    refund: Annotated[int, Field(description="Points given back to who paid.")]
    moves: Annotated[int, Field(description="How many moves were made.")]
    seats_left: Annotated[int | None, Field(description="Null for a game without seats.")]
    opened_at: Instant
    ends_at: Annotated[Instant, Field(description="When its time is up.")]
    ended_at: Annotated[Instant | None, Field(description="Null while it is open.")]
    facts: Annotated[
        dict[str, Any] | None, Field(description="What the game tells of the end; null while it is open.")
    ]


class RoundList(Listed[RoundShown]):
    """Rounds, the newest begun first."""


class ResultShown(Shown):
    """Points that a member got."""

    member: str
    points: int
    why: Annotated[str, Field(description="share (a seat of a red packet), or the word of an award.")]


class RoundDetail(RoundShown):
    """A round with what its members got."""

    results: Annotated[
        list[ResultShown] | None, Field(description="Who got what, by the ledger; null while it is open.")
    ]


class RoundStarted(RoundShown):
    """A round that was begun."""

    announced: Annotated[
        bool, Field(description="Whether the group is told; false where the channel cannot speak unprompted.")
    ]


class MoveShown(Shown):
    """One move of the published list."""

    number: int
    who: Annotated[str, Field(description="The player's mark: 16 hexadecimal digits.")]
    at: Instant
    said: str
    stake: int


class AwardShown(Shown):
    """Points that a player got."""

    who: str
    points: int
    why: str


class RecomputedShown(Shown):
    """What came of replaying the round from its seed, settings and moves."""

    agrees: bool
    problems: list[str]


class ProofShown(Shown):
    """All that is needed to recompute a round, without naming anybody."""

    round: str
    game: str
    state: str
    end: str | None
    settings: dict[str, Any]
    commitment: str
    seed: Annotated[str | None, Field(description="Null until the end.")]
    pot: int
    staked: int
    house: int
    paid: int
    refund: int
    moves: Annotated[list[MoveShown] | None, Field(description="In the order of receipt; null while open.")]
    awards: Annotated[list[AwardShown] | None, Field(description="By the ledger; null while open.")]
    recomputed: Annotated[RecomputedShown | None, Field(description="Null while open.")]


# ---------------------------------------------------------------- acts


async def list_rounds(call: Call[RoundsQuery, None]) -> RoundList:
    """List the rounds of a community, the newest begun first."""
    parts, community, query = call.parts, call.community, call.query
    await parts.stores.drain.flush(community.id)
    with known_cursor():
        page = await parts.records.history.page(
            community.id,
            game=query.game,
            state=query.state,
            place=query.group,
            cursor=query.cursor,
            limit=query.limit,
        )
    items = [RoundShown(**_fields(community, known)) for known in page.items]
    return RoundList(items=items, next_cursor=page.next_cursor)


async def start_round(call: Call[Query, RoundForm]) -> Answer:
    """Begin a round on the community's budget, once per request_id, and tell its group.

    Dies here: the same request repeated finds the round that it began, and tells the group if nobody has.
    """
    parts, community, form = call.parts, call.community, call.body
    order = _order(call)
    made = await parts.records.get(community.id, round_id(community.id, order.cause))
    if made is None:
        _check(parts, order)
        content = _content(form)
        if await claim(parts, community.id, f"round:{form.request_id}", content) != content:
            raise _reused(form)
        started = await parts.life.start(order)
        if started.opened.refused is not None:
            raise _refused(started, order)
        status = 200 if started.opened.again else 201
        made = await parts.records.get(community.id, started.round.id) or KnownRound(started.round, 0)
    else:
        if not _is_same(parts, made.round, order):
            raise _reused(form)
        status = 200
    announced = await _announce(parts, community, made.round)
    return Answer(RoundStarted(**_fields(community, made), announced=announced), status)


async def get_round(call: Call[Query, None]) -> RoundDetail:
    """Return one round, after its end with what its members got."""
    return await _detail(call, await _find(call))


async def cancel_round(call: Call[Query, None]) -> RoundDetail:
    """End an open round as if it had not been: stakes go back; what seats gave stays given. Once."""
    parts, community = call.parts, call.community
    known = await _find(call)
    if known.round.is_open:
        ended = await parts.life.end(community, known.round.id, "cancelled")
        if ended is None:
            raise StoreUnavailableError(
                f"round {known.round.id} is open by history, but not played here: run.py rebuild restores it"
            )
        known = await _find(call)
    if known.round.state is not RoundState.CANCELLED:
        raise ProblemError(
            "round_over",
            f"{known.round.id} is {known.round.state.value}: only an open round can be cancelled",
        )
    return await _detail(call, known)


async def prove_round(call: Call[Query, None]) -> ProofShown:
    """Return all that is needed to recompute a round, and what came of recomputing it here."""
    proof = await call.parts.records.proof(call.community.id, call.path["round"])
    if proof is None:
        raise _unknown(call)
    return _proof(call.parts, call.community, proof)


# ---------------------------------------------------------------- what is asked for


def _order(call: Call[Query, RoundForm]) -> Order:
    """Return what the form asks for.

    Raises:
        ProblemError: 422, the group is not one where the community plays.
    """
    parts, community, form = call.parts, call.community, call.body
    channel, group_id = ("", "") if form.group is None else _group(parts, community, form.group)
    now_ms = parts.clock.now_ms()
    return Order(
        community=community,
        game=form.game,
        place=f"{channel}:{group_id}" if group_id else "*",
        given=dict(form.model_extra or {}),
        cause=f"api:{form.request_id}",
        host=f"api:{call.caller.name}",
        now_ms=now_ms,
        day=parts.communities.calendar(community).day_of(now_ms),
        channel=channel,
        group_id=group_id,
        life_s=form.life_s,
    )


def _group(parts: ApiParts, community: Community, group: str) -> tuple[str, str]:
    """Return channel and chat id of a group of the community in which members are heard."""
    channel, colon, chat_id = group.partition(":")
    known = parts.abilities.get(channel)
    if known is None or not colon or not chat_id or not chat_id.isprintable():
        cure = "write it as `groups` lists it, or leave it out for the direct chats"
        raise invalid([Flaw(path="group", problem="is no group", cure=cure)])
    try:
        owner = parts.communities.find(channel, chat_id)
    except KeyError:
        owner = None
    if owner is None or owner.id != community.id:
        cure = f"give it to {community.id} under communities[].groups"
        raise invalid([Flaw(path="group", problem="is no group of this community", cure=cure)])
    row = known.row(chat_id)
    if row is None or row.group_sight is Sight.NOTHING:
        cure = "choose a channel that hears its groups, see `channels`, or leave it out for the direct chats"
        raise invalid([Flaw(path="group", problem=f"is not heard by {channel}: nobody can play", cure=cure)])
    return channel, chat_id


def _check(parts: ApiParts, order: Order) -> None:
    """Refuse (422) a game that is not played there, and settings that it does not take."""
    flaws = [
        Flaw(path=name, problem="holds a NUL character", cure="type it again")
        for name, value in order.given.items()
        if "\0" in name or (isinstance(value, str) and "\0" in value)
    ]
    if len(order.given) > _MOST_SETTINGS:
        flaws.append(Flaw(path="", problem="holds too many settings", cure=f"at most {_MOST_SETTINGS}"))
    if flaws:
        raise invalid(flaws)
    try:
        parts.life.check(order)
    except NotPlayedError as error:
        if error.word == "stakes":
            problem, cure = "needs stakes, which are not allowed there", "0, or allow them: games.stakes"
            raise invalid([Flaw(path="entry", problem=problem, cure=cure)]) from None
        off = order.community.games.off
        played = [name for name in parts.life.games if name not in off]
        cure = did_you_mean(order.game, played)
        problem = "is not played there" if error.word == "off" else "is no game"
        raise invalid([Flaw(path="game", problem=problem, cure=cure)]) from None
    except SettingError as error:
        flaw = Flaw(path=error.setting, problem=error.problem, cure=error.cure)
        raise invalid([flaw]) from None


def _content(form: RoundForm) -> str:
    """Return what must be equal in a repeat, as one short text."""
    values = orjson.dumps((form.game, form.group, form.life_s, form.model_extra), option=orjson.OPT_SORT_KEYS)
    return blake2b(values, digest_size=16).hexdigest()


def _is_same(parts: ApiParts, made: Round, order: Order) -> bool:
    """Whether a round is what this order begins, however long ago it did."""
    if (made.game, made.place) != (order.game, order.place):
        return False
    if order.life_s is not None and made.ends_at_ms - made.at_ms != order.life_s * 1000:
        return False
    game = parts.life.games.get(made.game)
    if game is None:
        return False
    try:
        again = game.play.prepare({**json.loads(made.settings), **order.given})
    except SettingError:
        return False
    return bool(json.loads(again.settings) == json.loads(made.settings))


def _reused(form: RoundForm) -> ProblemError:
    return ProblemError(
        "request_id_reused",
        f"the request_id {form.request_id} stands for another round: choose a new one for a new round",
    )


def _refused(started: Started, order: Order) -> ProblemError:
    """Return why no round was begun although it could be at another time."""
    opened, community = started.opened, order.community
    if opened.refused is OpenRefused.BUSY:
        return ProblemError(
            "round_open", f"{opened.busy_id} is open there; end it first, or wait until its time is up"
        )
    if opened.refused is OpenRefused.RESTING:
        until = rfc3339(opened.figure, community.zone)
        return ProblemError("game_resting", f"the next round of {order.game} may begin there at {until}")
    return ProblemError(
        "budget_spent",
        f"the round needs {started.round.pot} points, of the day's {community.games.budget_per_day} are "
        f"{opened.figure} left; make it smaller, or come back tomorrow",
    )


async def _announce(parts: ApiParts, community: Community, one: Round) -> bool:
    """Tell a round's group of it, once; return whether it is told."""
    text = parts.life.announcement(community, one) if one.group_id else ""
    if not text:
        return False
    now_ms = parts.clock.now_ms()
    wish = Unprompted(
        request_id=f"round:{one.id}",
        community=community.id,
        channel=one.channel,
        parts=[Text(text)],
        group_id=one.group_id,
        feature=_FEATURE,
        useful_for_s=max(1, (one.ends_at_ms - now_ms) // 1000),
    )
    if one.channel not in parts.abilities:  # left out of the configuration since
        return False
    delivery = parts.composer.unprompted(wish, now_ms)
    if isinstance(delivery, NoWay):
        return False
    if await DeliveryHistory(parts.database).get(delivery.id) is not None:
        return True
    if not one.is_open:
        return False
    if await parts.deliveries.create(delivery, now_ms):
        parts.wake_senders(community.id)
    return True


# ---------------------------------------------------------------- what is shown


async def _find(call: Call[Query, None]) -> KnownRound:
    known = await call.parts.records.get(call.community.id, call.path["round"])
    if known is None:
        raise _unknown(call)
    return known


def _unknown(call: Call[Query, None]) -> ProblemError:
    return ProblemError("not_found", f"{call.community.id} has no round {call.path['round']!r}")


async def _detail(call: Call[Query, None], known: KnownRound) -> RoundDetail:
    parts, community = call.parts, call.community
    results: list[ResultShown] | None = None
    if not known.round.is_open:
        await parts.stores.drain.flush(community.id)
        results = [
            ResultShown(member=row.member, points=row.points, why=row.rule or "share")
            for row in await parts.records.history.sums(community.id, known.round.id)
            if row.reason in {"round_share", "round_prize"}
        ]
    return RoundDetail(**_fields(community, known), results=results)


def _fields(community: Community, known: KnownRound) -> dict[str, Any]:
    one, zone = known.round, community.zone
    return {
        "id": one.id,
        "game": one.game,
        "state": one.state.value,
        "end": one.end or None,
        "group": one.place if one.group_id else None,
        "host": one.host,
        "payer": one.payer or "budget",
        "settings": json.loads(one.settings),
        "commitment": one.commitment,
        "seed": None if one.is_open else one.seed,
        "pot": one.pot,
        "staked": one.staked,
        "house": one.house,
        "paid": one.paid,
        "refund": one.refund,
        "moves": known.moves,
        "seats_left": len(one.seats) - known.moves if one.seats else None,
        "opened_at": rfc3339(one.at_ms, zone),
        "ends_at": rfc3339(one.ends_at_ms, zone),
        "ended_at": rfc3339_or_none(one.ended_at_ms or None, zone),
        "facts": None if one.is_open else json.loads(one.facts),
    }


def _proof(parts: ApiParts, community: Community, proof: Proof) -> ProofShown:
    one, is_open = proof.round, proof.round.is_open
    moves = [
        MoveShown(
            number=move.number,
            who=proof.marks.get(move.member, ""),
            at=rfc3339(move.at_ms, community.zone),
            said=move.said,
            stake=move.stake,
        )
        for move in proof.moves
    ]
    awards = [
        AwardShown(who=proof.marks.get(award.member, ""), points=award.points, why=award.why)
        for award in proof.awards
    ]
    problems = [parts.catalog.text("en", f"proof.{found.word}", **found.values) for found in proof.problems]
    return ProofShown(
        round=one.id,
        game=one.game,
        state=one.state.value,
        end=one.end or None,
        settings=json.loads(one.settings),
        commitment=one.commitment,
        seed=None if is_open else one.seed,
        pot=one.pot,
        staked=one.staked,
        house=one.house,
        paid=one.paid,
        refund=one.refund,
        moves=None if is_open else moves,
        awards=None if is_open else awards,
        recomputed=None if is_open else RecomputedShown(agrees=proof.agrees, problems=problems),
    )


_DONE_BEFORE = {200: "The same round had been begun before; nothing was changed."}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/communities/{community}/rounds",
        list_rounds,
        "List rounds of games, the newest begun first.",
        query=RoundsQuery,
        answer=RoundList,
    ),
    Endpoint(
        "POST",
        "/communities/{community}/rounds",
        start_round,
        "Begin a round of a game, once per request_id.",
        role=Role.MANAGER,
        body=RoundForm,
        answer=RoundStarted,
        status=201,
        also=_DONE_BEFORE,
        problems=("request_id_reused", "round_open", "game_resting", "budget_spent"),
    ),
    Endpoint(
        "GET",
        "/communities/{community}/rounds/{round}",
        get_round,
        "Return one round, after its end with what its members got.",
        answer=RoundDetail,
    ),
    Endpoint(
        "POST",
        "/communities/{community}/rounds/{round}/cancel",
        cancel_round,
        "Cancel an open round: it counts for nothing, every stake goes back.",
        role=Role.MANAGER,
        answer=RoundDetail,
        problems=("round_over",),
    ),
    Endpoint(
        "GET",
        "/communities/{community}/rounds/{round}/proof",
        prove_round,
        "Return all that is needed to recompute a round, and the outcome of doing so here.",
        answer=ProofShown,
    ),
)
