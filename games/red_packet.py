"""Red packets: a sum in shares, cut and sealed from the seed before the first hand reaches for it.

The k-th member to grab takes seat k: its share, and the extra prizes that fall on that seat. Nobody ever
pays. A random packet is cut seat by seat with the draws ``share <seat> upper`` and ``share <seat>``, as
`split_random` says; the lucky seat is 1 + the draw ``lucky seat`` below the number of shares. Both follow
from the seed alone, so the packet is the same whoever grabs, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from itertools import islice

from games.fairness import Luck
from games.rules import (
    Award,
    BadSettingError,
    End,
    Entry,
    IllegalMoveError,
    Move,
    Outcome,
    Settlement,
    Value,
    known_only,
    whole,
)

MOST_POINTS = 1_000_000
MOST_SHARES = 200
LONGEST_WORD = 30
LONGEST_BLESSING = 100


class Split(StrEnum):
    """How a packet is cut."""

    RANDOM = "random"  # as `split_random` does
    EQUAL = "equal"  # as `split_equal` does


@dataclass(frozen=True, slots=True)
class RedPacketSettings:
    """The settings of one packet; a prize of 0 points is off.

    Attributes:
        total: Points in the shares, at least one for each.
        shares: How many members can grab.
        split: How the points are cut.
        best: Points for the largest share taken; of equal ones the earliest.
        consolation: Points for the smallest share taken by two members or more; of equal ones the earliest.
        tail_digits: A share whose last digit is one of these wins `tail_prize`; ascending, each once.
        tail_prize: Points for each such share.
        sofa: How many of the first to grab win `sofa_prize` each.
        sofa_prize: Points for each of them.
        floor: Who grabs in this place, counted from 1, wins `floor_prize`; 0 for nobody.
        floor_prize: Points for that member.
        lucky_prize: Points for a place that only the seed knows until it is taken.
        word: What has to be said to grab; "" for none.
        blessing: What is written on the packet.
    """

    total: int = 100
    shares: int = 10
    split: Split = Split.RANDOM
    best: int = 0
    consolation: int = 0
    tail_digits: tuple[int, ...] = ()
    tail_prize: int = 0
    sofa: int = 0
    sofa_prize: int = 0
    floor: int = 0
    floor_prize: int = 0
    lucky_prize: int = 0
    word: str = ""
    blessing: str = ""


@dataclass(frozen=True, slots=True)
class RedPacketState:
    """A packet: cut before it opens, then who has grabbed.

    Attributes:
        settings: Its settings.
        shares: The points of every share, in the order in which they are taken.
        lucky_seat: The seat that wins `lucky_prize`, from 1; 0 where there is none.
        members: Who took the first, second, … seat.
        at_ms: When each of them did, Unix milliseconds.
    """

    settings: RedPacketSettings
    shares: tuple[int, ...]
    lucky_seat: int = 0
    members: tuple[str, ...] = ()
    at_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Seat:
    """What one seat gives at once, in points: its share and the prizes that fall on it, 0 for none."""

    number: int
    share: int
    tail: int
    sofa: int
    floor: int
    lucky: int

    @property
    def points(self) -> int:
        """All that the seat gives."""
        return self.share + self.tail + self.sofa + self.floor + self.lucky


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of results.

    Attributes:
        seat: Place in the order of grabbing, from 1.
        member: Who took it.
        share: Points of the share alone.
        points: All that the seat gave; the awards of the settlement are not in it.
        at_ms: When it was taken, Unix milliseconds.
    """

    seat: int
    member: str
    share: int
    points: int
    at_ms: int


class RedPacket:
    """The rules of red packets."""

    __slots__ = ()

    name = "red_packet"
    once = True
    mixed = False

    def settings(self, given: Mapping[str, object]) -> RedPacketSettings:
        """Return the settings of a packet, checked; those not given take their defaults.

        Raises:
            BadSettingError: One is unknown, of a wrong kind, out of bounds, or can have no effect.
        """
        known_only(given, _NAMES)
        settings = RedPacketSettings(
            total=whole(given, "total", _DEFAULTS.total, 1, MOST_POINTS),
            shares=whole(given, "shares", _DEFAULTS.shares, 1, MOST_SHARES),
            split=_split(given),
            best=_prize(given, "best"),
            consolation=_prize(given, "consolation"),
            tail_digits=_digits(given, "tail_digits"),
            tail_prize=_prize(given, "tail_prize"),
            sofa=whole(given, "sofa", 0, 0, MOST_SHARES),
            sofa_prize=_prize(given, "sofa_prize"),
            floor=whole(given, "floor", 0, 0, MOST_SHARES),
            floor_prize=_prize(given, "floor_prize"),
            lucky_prize=_prize(given, "lucky_prize"),
            word=_text(given, "word", LONGEST_WORD),
            blessing=_text(given, "blessing", LONGEST_BLESSING),
        )
        _check_shares(settings)
        _check_prizes(settings)
        return settings

    def pot(self, settings: RedPacketSettings) -> int:
        """Return the points paid at the start: every share, and every prize as often as it can be won."""
        return (
            settings.total
            + settings.best
            + settings.consolation
            + settings.tail_prize * settings.shares
            + settings.sofa_prize * min(settings.sofa, settings.shares)
            + settings.floor_prize
            + settings.lucky_prize
        )

    def open(self, settings: RedPacketSettings, seed: bytes, round_id: str) -> RedPacketState:
        """Return the packet, cut and sealed."""
        luck = Luck(seed, round_id)
        if settings.split is Split.EQUAL:
            shares = split_equal(settings.total, settings.shares)
        else:
            shares = split_random(settings.total, settings.shares, luck)
        lucky_seat = 1 + luck.below(settings.shares, "lucky seat") if settings.lucky_prize else 0
        return RedPacketState(settings, shares, lucky_seat)

    def seats(self, state: RedPacketState) -> tuple[int, ...]:
        """Return what the first, second, … member to grab gets at once: share and prizes of the seat."""
        return tuple(seat_of(state, number).points for number in range(1, len(state.shares) + 1))

    def entry(self, settings: RedPacketSettings, said: str, stake: int) -> Entry:  # noqa: ARG002
        """Return the one move there is, however it was said: who may grab with which word is not asked here.

        Raises:
            IllegalMoveError: ``no_stake``: there is a stake, and nobody pays for grabbing.
        """
        if stake:
            raise IllegalMoveError("no_stake")
        return Entry("grab")

    def play(self, state: RedPacketState, move: Move) -> tuple[RedPacketState, Outcome]:
        """Give the next seat to who grabs.

        The outcome is ``grabbed`` with the points of the seat; ``already`` with the same of the member's own
        seat, if they have one; ``gone`` if all seats are taken. Only the first changes the state.
        """
        if move.member in state.members:
            return state, Outcome("already", _told(state, state.members.index(move.member) + 1))
        if self.is_over(state):
            return state, Outcome("gone", {"shares": len(state.shares)})
        after = replace(state, members=(*state.members, move.member), at_ms=(*state.at_ms, move.at_ms))
        return after, Outcome("grabbed", _told(after, len(after.members)))

    def is_over(self, state: RedPacketState) -> bool:
        """Return whether every seat is taken."""
        return len(state.members) == len(state.shares)

    def settle(self, state: RedPacketState, end: End) -> Settlement:
        """Return the awards ``best_luck`` and ``consolation``, and what is told of the packet.

        The facts are `taken` of `shares`, the points `given` at seats, the `rest` of the pot that goes back
        and the `lucky_seat` (0 for none); with one taken also `best_member`, `best_share` and `best_seat`,
        with two `worst_member`, `worst_share` and `worst_seat`, and `lucky_member` once that seat is taken. A
        packet that is cancelled, or that nobody grabbed, has no awards.
        """
        awards = () if end is End.CANCELLED else _awards(state)
        taken = len(state.members)
        given = sum(islice(self.seats(state), taken))
        facts: dict[str, Value] = {
            "taken": taken,
            "shares": len(state.shares),
            "given": given,
            "rest": self.pot(state.settings) - given - sum(award.points for award in awards),
            "lucky_seat": state.lucky_seat,
        }
        if taken >= 1:
            facts |= _named(state, "best", _best(state))
        if taken >= 2:
            facts |= _named(state, "worst", _worst(state))
        if 1 <= state.lucky_seat <= taken:
            facts["lucky_member"] = state.members[state.lucky_seat - 1]
        return Settlement(awards, facts)


def results(state: RedPacketState) -> tuple[Row, ...]:
    """Return the table of results: a row for each seat taken, in the order of seats."""
    return tuple(
        Row(number, member, state.shares[number - 1], seat_of(state, number).points, at_ms)
        for number, (member, at_ms) in enumerate(zip(state.members, state.at_ms, strict=True), 1)
    )


def split_equal(total: int, shares: int) -> tuple[int, ...]:
    """Cut `total` points into shares that differ by one point at most, the larger ones first.

    Raises:
        ValueError: There is not a point for each share.
    """
    _check_cut(total, shares)
    each, more = divmod(total, shares)
    return tuple(each + (seat < more) for seat in range(shares))


def split_random(total: int, shares: int, luck: Luck) -> tuple[int, ...]:
    """Cut `total` points into random shares of at least one point, each worth total / shares on average.

    Every share has one point; what is above that is dealt seat by seat. With `above` such points left for
    `left` seats, and 2 · above = bound · left + more: the draw ``share <seat> upper`` below `left` adds one
    to `bound` if it is below `more`; the draw ``share <seat>`` below `bound` + 1 is what the seat has above
    one. The last seat has the rest.

    Raises:
        ValueError: There is not a point for each share.
    """
    # Why no seat is better than another. Let E be the points above one each that are left for L seats, and
    # 2E = qL + r with 0 <= r < L. A uniform draw from 0 to b has the mean b/2, and b is q + 1 with the chance
    # r/L, otherwise q: the seat's mean is (q + r/L) / 2 = (2E/L) / 2 = E/L. What stays for the other L - 1
    # seats has the mean E - E/L = (L - 1) * E/L, which is E/L for each again. So, seat after seat, each has
    # the mean it had at first: (total - shares) / shares above one point.
    #
    # Why the rest is never overdrawn. A seat is drawn for while L >= 2. Then 2E/L <= E, and as E is whole,
    # 2E/L rounded up is at most E too. The bound is never above 2E/L rounded up: q + 1 is that if r > 0, and
    # has no chance if r = 0. So 0 <= draw <= E, and the last seat's rest is not below 0.
    _check_cut(total, shares)
    above = total - shares
    cut: list[int] = []
    for seat in range(1, shares):
        left = shares - seat + 1
        bound, more = divmod(2 * above, left)
        if luck.below(left, f"share {seat} upper") < more:
            bound += 1
        drawn = luck.below(bound + 1, f"share {seat}")
        cut.append(1 + drawn)
        above -= drawn
    return (*cut, 1 + above)


def _check_cut(total: int, shares: int) -> None:
    if not 1 <= shares <= total:
        raise ValueError(f"{total} points do not make {shares} shares of at least one")


# ---------------------------------------------------------------- seats and awards


def seat_of(state: RedPacketState, number: int) -> Seat:
    """Return what a seat, counted from 1, gives to who takes it."""
    settings, share = state.settings, state.shares[number - 1]
    return Seat(
        number=number,
        share=share,
        tail=settings.tail_prize if share % 10 in settings.tail_digits else 0,
        sofa=settings.sofa_prize if number <= settings.sofa else 0,
        floor=settings.floor_prize if number == settings.floor else 0,
        lucky=settings.lucky_prize if number == state.lucky_seat else 0,
    )


def _told(state: RedPacketState, number: int) -> dict[str, Value]:
    seat = seat_of(state, number)
    return {
        "seat": number,
        "share": seat.share,
        "tail": seat.tail,
        "sofa": seat.sofa,
        "floor": seat.floor,
        "lucky": seat.lucky,
        "points": seat.points,
        "left": len(state.shares) - len(state.members),
    }


def _awards(state: RedPacketState) -> tuple[Award, ...]:
    settings, taken = state.settings, len(state.members)
    awards: list[Award] = []
    if settings.best and taken >= 1:
        awards.append(Award(state.members[_best(state) - 1], settings.best, "best_luck"))
    if settings.consolation and taken >= 2:
        awards.append(Award(state.members[_worst(state) - 1], settings.consolation, "consolation"))
    return tuple(awards)


def _best(state: RedPacketState) -> int:
    """Return the seat of the largest share taken; `max` keeps the first of equal ones, the earliest seat."""
    return max(range(1, len(state.members) + 1), key=lambda number: state.shares[number - 1])


def _worst(state: RedPacketState) -> int:
    """Return the seat of the smallest share taken; `min` keeps the first of equal ones, the earliest seat."""
    return min(range(1, len(state.members) + 1), key=lambda number: state.shares[number - 1])


def _named(state: RedPacketState, which: str, number: int) -> dict[str, Value]:
    return {
        f"{which}_member": state.members[number - 1],
        f"{which}_share": state.shares[number - 1],
        f"{which}_seat": number,
    }


# ---------------------------------------------------------------- settings

_DEFAULTS = RedPacketSettings()
_NAMES = frozenset(field.name for field in fields(RedPacketSettings))
_DIGITS = "0123456789"


def _prize(given: Mapping[str, object], name: str) -> int:
    return whole(given, name, 0, 0, MOST_POINTS)


def _split(given: Mapping[str, object]) -> Split:
    value = given.get("split", _DEFAULTS.split)
    for split in Split:
        if value == split:
            return split
    raise BadSettingError("split", "is no way to cut a packet", f"one of {', '.join(Split)}")


def _digits(given: Mapping[str, object], name: str) -> tuple[int, ...]:
    value = given.get(name, ())
    if isinstance(value, str) and set(value) <= set(_DIGITS):
        return tuple(sorted({int(digit) for digit in value}))
    if isinstance(value, list | tuple) and all(_is_digit(digit) for digit in value):
        return tuple(sorted(set(value)))
    raise BadSettingError(name, "is no list of digits", 'digits from 0 to 9, such as [1, 3, 5] or "135"')


def _is_digit(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9


def _text(given: Mapping[str, object], name: str, longest: int) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise BadSettingError(name, "is no text", f"a text of at most {longest} characters")
    text = value.strip()
    if len(text) > longest:
        raise BadSettingError(name, f"has {len(text)} characters", f"at most {longest}")
    return text


def _check_shares(settings: RedPacketSettings) -> None:
    """Refuse what the number of shares makes impossible."""
    shares = settings.shares
    if settings.total < shares:
        raise BadSettingError(
            "total", f"does not give each of {shares} shares a point", f"at least {shares}, or fewer shares"
        )
    if settings.floor > shares:
        raise BadSettingError("floor", f"comes after the last of {shares} shares", f"at most {shares}")
    if settings.consolation and shares == 1:
        raise BadSettingError("consolation", "is never won in a packet of one share", "0, or more shares")


def _check_prizes(settings: RedPacketSettings) -> None:
    """Refuse a prize that nobody can win, and a way to win that has no prize."""
    pairs = (
        ("tail_digits", len(settings.tail_digits), "tail_prize", settings.tail_prize),
        ("sofa", settings.sofa, "sofa_prize", settings.sofa_prize),
        ("floor", settings.floor, "floor_prize", settings.floor_prize),
    )
    for way, won, prize, points in pairs:
        if points and not won:
            raise BadSettingError(prize, f"is never won without {way}", f"set {way} too, or leave both out")
        if won and not points:
            raise BadSettingError(way, f"wins nothing without {prize}", f"set {prize} too, or leave both out")
