"""The page about games says what the games do: its lines are tried, its odds and figures computed again."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from functools import cache
from itertools import product
from math import prod
from typing import Any

import pytest

from bot.catalog import load_catalog
from bot.config import Config, resolve_communities
from bot.config.models import Games, GameTerms
from bot.rounds.desk import Desk
from bot.rounds.terms import load_terms
from bot.testing import FakeChat, Stores
from games.dice import FACES, OUTCOMES, Triples, odds_table
from games.dice_compare import DiceCompare
from games.dice_point import DicePoint
from games.dice_size import DiceSize
from games.dice_sum import DiceSum, given_back
from games.fairness import SEED_BYTES, Luck, commitment, entries_hash, player_mark
from games.red_packet import MOST_POINTS, MOST_SHARES, RedPacket, RedPacketSettings, split_random
from games.rules import BadSettingError, Move, Rules
from handlers.play import RulesInPlay
from handlers.round_talk import SHOWN_COMMITMENT
from run import ROUTERS
from tests.docs.pages import ROOT, Page, page

ENGLISH, CHINESE = page("docs/games.md"), page("docs/games.zh-CN.md")
_BOTH = pytest.mark.parametrize("games", [ENGLISH, CHINESE], ids=["en", "zh-CN"])
_RULES: dict[str, Rules[Any, Any]] = {
    "红包": RedPacket(),
    "指定点数": DicePoint(),
    "猜大小": DiceSize(),
    "猜点数": DiceSum(),
    "比大小": DiceCompare(),
}
_BET_WORDS = {"大": "big", "小": "small", "单": "odd", "双": "even"}


def _heading(games: Page, english: str) -> str:
    """Return a heading of the English page as the other language has it."""
    return games.headings[[title for _, title in ENGLISH.headings].index(english)][1]


def _rows(games: Page, english: str, place: int = 0) -> list[list[str]]:
    return games.tables(_heading(games, english))[place]


def _codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _listed(cell: str) -> list[str]:
    return re.split(r", |、", cell)


def _number(cell: str) -> float:
    """Return the number a cell begins with; a minus sign may be the typographic one."""
    found = re.match(r"[−-]?[\d.]+", cell)
    assert found is not None, cell
    return float(found[0].replace("−", "-"))


def _percent(share: Fraction | float, digits: int) -> float:
    return round(float(share) * 100, digits) + 0.0


# ---------------------------------------------------------------- odds


@_BOTH
def test_the_odds_of_big_small_odd_and_even_are_those_of_the_game(games: Page) -> None:
    triples = {"count": Triples.COUNT, "lose": Triples.LOSE, "照常算": Triples.COUNT, "豹子输": Triples.LOSE}
    listed = {
        (_BET_WORDS[bet], triples[rule]): [_number(cell) for cell in figures]
        for bets, rule, *figures in _rows(games, "Three dice")
        for bet in _listed(bets)
    }
    assert listed == {
        (odds.bet, odds.triples): [
            odds.ways,
            _percent(Fraction(odds.ways, len(OUTCOMES)), 2),
            round(float(odds.fair_pay), 3),
            1,
            _percent(odds.edge(1), 2),
        ]
        for odds in odds_table()
        if odds.bet in _BET_WORDS.values()
    }


@_BOTH
def test_the_odds_of_each_sum_are_those_of_the_game(games: Page) -> None:
    listed = {
        bet: [_number(cell) for cell in figures]
        for bets, *figures in _rows(games, "Three dice", 1)
        for bet in _listed(bets)
    }
    assert listed == {
        odds.bet: [
            odds.ways,
            _percent(Fraction(odds.ways, len(OUTCOMES)), 2),
            round(float(odds.fair_pay), 3),
            given_back(odds.bet, 10),
            _percent(odds.edge(Fraction(given_back(odds.bet, 10) - 10, 10)), 2),
        ]
        for odds in odds_table()
        if odds.bet not in _BET_WORDS.values()
    }


def test_what_the_page_says_of_rounding_and_of_the_example_is_so() -> None:
    cost = max(
        Fraction(odds.ways, 216) * (Fraction(stake * 216, odds.ways) - given_back(odds.bet, stake))
        for odds in odds_table()
        for stake in range(1, 217)
        if odds.bet.isdecimal()
    )
    assert cost == Fraction(1, 9)
    assert "1/9" in ENGLISH.prose
    assert (given_back("9", 1), given_back("11", 20)) == (8, 160)
    assert "20 × 216 ÷ 27 = 160" in ENGLISH.prose


def _tie_for_first(players: int, dice: int) -> float:
    """The chance that more than one of the players has the highest sum."""
    sums = [sum(thrown) for thrown in product(range(1, FACES + 1), repeat=dice)]
    alone, lower = 0.0, 0.0
    for total in sorted(set(sums)):
        chance = sums.count(total) / len(sums)
        alone += players * chance * lower ** (players - 1)
        lower += chance
    return 1 - alone


@_BOTH
def test_the_chances_of_a_winner_and_of_a_tie_are_right(games: Page) -> None:
    def part(english: str) -> str:
        return games.prose.split(f"### {_heading(games, english)}\n")[1].split("\n#")[0]

    won = [_percent(1 - Fraction(5, 6) ** throws, 1) for throws in (6, 10, 20)]
    assert [float(figure) for figure in re.findall(r"([\d.]+) %", part("First to the point"))] == won
    ties = [_percent(_tie_for_first(*case), 1) for case in ((2, 1), (2, 2), (2, 3), (10, 3))]
    assert [float(figure) for figure in re.findall(r"([\d.]+) %", part("Highest sum"))] == ties


@cache
def _draws(above: int, left: int) -> dict[int, float]:
    """What a seat has above one point, and how likely, with so much for so many seats."""
    if left == 1:
        return {above: 1.0}
    bound, more = divmod(2 * above, left)
    chances: dict[int, float] = defaultdict(float)
    for most, weight in ((bound + 1, more / left), (bound, 1 - more / left)):
        for drawn in range(most + 1):
            chances[drawn] += weight / (most + 1)
    return {drawn: chance for drawn, chance in chances.items() if chance}


@cache
def _none_above(most: int, above: int, left: int) -> float:
    """The chance that no seat of those left has more than `most` above one point."""
    if not left:
        return 1.0
    return sum(
        chance * _none_above(most, above - drawn, left - 1)
        for drawn, chance in _draws(above, left).items()
        if drawn <= most
    )


def _luckiest(total: int, shares: int) -> list[float]:
    """How often each seat has the largest share, the earliest of equal ones; exact but for rounding."""
    luckiest = [0.0] * shares
    for most in range(total - shares + 1):
        before = {total - shares: 1.0}  # what is left, and how likely, while every share so far is smaller
        for seat in range(shares):
            left = shares - seat
            after: dict[int, float] = defaultdict(float)
            for above, reached in before.items():
                draws = _draws(above, left)
                luckiest[seat] += reached * draws.get(most, 0) * _none_above(most, above - most, left - 1)
                for drawn in range(most):
                    after[above - drawn] += reached * draws.get(drawn, 0)
            before = {above: chance for above, chance in after.items() if chance}
    return luckiest


@_BOTH
def test_how_often_each_place_is_the_luckiest(games: Page) -> None:
    for name, *figures in _rows(games, "Shares of a packet"):
        total, shares = (int(number) for number in re.findall(r"\d+", name))
        assert [float(figure) for figure in figures] == [_percent(x, 1) for x in _luckiest(total, shares)]
    assert _luckiest(5, 3) == pytest.approx([5 / 9, 8 / 27, 4 / 27])
    assert all(fraction in games.prose for fraction in ("5/9", "8/27", "4/27"))


def test_the_packets_of_the_computation_are_those_of_the_game() -> None:
    """Some thousand packets of the game have the luckiest seats that the exact computation says."""
    packets, counts = 4000, [0] * 10
    for number in range(packets):
        cut = split_random(20, 10, Luck(bytes(SEED_BYTES), f"r{number}"))
        counts[cut.index(max(cut))] += 1
    for count, chance in zip(counts, _luckiest(20, 10), strict=True):
        assert abs(count / packets - chance) < 4.5 * (chance * (1 - chance) / packets) ** 0.5


# ---------------------------------------------------------------- commands and settings


def _lines(games: Page) -> Iterator[str]:
    """Yield every line that begins a round, and a packet with each of its words."""
    for span in games.spans:
        if re.match(r"(发红包|开局) ", span):
            yield span
    for place in (0, 1):
        for words, *_ in _rows(games, "Side rules of a packet", place):
            (word,) = _codes(words)
            if not word.startswith("发红包"):
                yield f"发红包 100 10 {word}"
    for game, words, *_ in _rows(games, "Settings of the dice games"):
        yield f"开局 {game} {_codes(words)[0]}"


async def test_every_line_of_a_manager_begins_a_round(stores: Stores) -> None:
    lines = list(dict.fromkeys(_lines(ENGLISH)))
    assert len(lines) > 30
    assert set(lines) == set(_lines(CHINESE))
    async with FakeChat(
        ROUTERS, managers=["ana"], community={"games": {"stakes": True}}, stores=stores
    ) as chat:
        await chat.say("ana", "加分 ana 1000 自付", group="g")
        for number, line in enumerate(lines):
            answer = await chat.say("ana", line, group=f"g{number}") or ""
            assert "公平承诺" in answer, (line, answer)


async def test_every_line_of_a_member_is_understood(stores: Stores) -> None:
    """What members say in the table of games and under stakes, in a group where all games are open."""
    async with FakeChat(
        ROUTERS, managers=["ana"], community={"games": {"stakes": True}}, stores=stores
    ) as chat:
        await chat.say("bob", "你好", group="g")
        await chat.say("ana", "加分 bob 1000 押", group="g")
        said = {}
        for number, line in enumerate(
            ("抢", "骰子", "猜大", "猜小", "猜单", "猜双", "猜 11", "加入", "猜大 20", "猜 11 20")
        ):
            assert f"`{line}`" in ENGLISH.prose
            here = f"g{number}"
            game = {"抢": "", "骰子": "指定点数", "加入": "比大小"}.get(
                line, "猜点数" if "11" in line else "猜大小"
            )
            await chat.say("ana", f"开局 {game}" if game else "发红包 100 10", group=here)
            said[line] = await chat.say("bob", line, group=here) or ""
            await chat.say("ana", "结束 作废", group=here)
    assert "你抢到" in said["抢"]
    assert "🎲" in said["骰子"]
    assert all("记下了" in answer for line, answer in said.items() if line.startswith("猜"))
    assert "押 20 积分" in said["猜大 20"]
    assert "押 20 积分" in said["猜 11 20"]
    assert "已加入比大小" in said["加入"]


async def test_what_costs_points_without_stakes_is_refused(stores: Stores) -> None:
    async with FakeChat(ROUTERS, managers=["ana"], stores=stores) as chat:
        for line in ("开局 猜大小 最多押50", "开局 比大小 入场5"):
            assert "不押积分" in (await chat.say("ana", line, group="g") or "")


def test_what_the_side_rules_cost_is_the_pot() -> None:
    (example,) = [span for span in ENGLISH.spans if span.startswith("发红包") and "安慰" in span]
    rules = RedPacket()
    extras: dict[str, object] = {
        "best": 20, "tail_digits": "135", "tail_prize": 5, "sofa": 3, "sofa_prize": 5,
        "floor": 8, "floor_prize": 10, "lucky_prize": 20, "consolation": 5,
    }  # fmt: skip
    assert rules.pot(rules.settings({"total": 100, "shares": 10, **extras})) == 220
    for games in (ENGLISH, CHINESE):
        line = re.sub(r"\s+", " ", games.prose).split(f"`{example}`")[1]
        terms, pot = re.findall(r"(\d+(?: \+ \d+)+) = (\d+)", line)[0]
        assert sum(map(int, terms.split(" + "))) == int(pot) == 220
        cells = [cost for _, _, cost, _ in _rows(games, "Side rules of a packet") if cost]
        costs = [prod(int(factor) for factor in re.findall(r"\d+", cost)) for cost in cells]
        assert costs == list(map(int, terms.split(" + ")))


@_BOTH
def test_the_settings_have_the_bounds_and_usual_values_of_the_page(games: Page) -> None:
    terms = load_terms()
    (community,) = resolve_communities(Config.model_validate({"communities": [{"id": "any"}]}))
    listed: dict[str, set[str]] = defaultdict(set)
    for game, _, setting, least, most, usual in _rows(games, "Settings of the dice games"):
        rules, (name,) = _RULES[game], _codes(setting)
        low, high, known = (_value(cell) for cell in (least, most, usual))
        listed[game].add(name)
        usual_settings = {**asdict(rules.settings({})), **terms.of(community, rules.name).settings}
        assert usual_settings[name] == known, (game, name)
        for value in (low, high):
            assert asdict(rules.settings({name: value}))[name] == value
        if isinstance(low, int) and isinstance(high, int):
            for value in (low - 1, high + 1):
                with pytest.raises(BadSettingError):
                    rules.settings({name: value})
    assert listed == {
        game: set(asdict(rules.settings({}))) for game, rules in _RULES.items() if game != "红包"
    }


def _value(cell: str) -> int | str:
    return _codes(cell)[0] if "`" in cell else int(cell)


@_BOTH
def test_the_settings_of_a_packet_are_all_named(games: Page) -> None:
    play = RulesInPlay(RedPacket(), listens=True, conditions=True)
    play.prepare({"total": MOST_POINTS, "shares": MOST_SHARES})
    assert {*RedPacketSettings.__dataclass_fields__, "checked_in", "member_days"} <= set(games.spans)
    assert f"{MOST_POINTS}" in games.prose
    assert f"{MOST_SHARES}" in games.prose


@_BOTH
def test_the_terms_and_keys_of_the_configuration_are_all_named(games: Page) -> None:
    rows = [_codes(term)[0] for term, _ in _rows(games, "What a community allows")]
    assert rows == list(GameTerms.model_fields)
    (example,) = games.block("yaml")
    assert set(re.findall(r"^      (\w+):", example, re.MULTILINE)) == set(Games.model_fields)


@_BOTH
def test_the_reasons_in_the_ledger_are_those_of_the_texts(games: Page) -> None:
    catalog = load_catalog()
    listed = {f"reason.{_codes(reason)[0]}": said for reason, said, _ in _rows(games, "Who pays")}
    known = {key for key in catalog.keys if key.startswith("reason.round_")}
    assert listed == {key: catalog.text("zh-CN", key) for key in known}


@_BOTH
def test_the_games_of_the_page_are_those_of_the_program(games: Page) -> None:
    rows = [(re.split(r"[ （]", name)[0], _codes(name)[0]) for name, *_ in _rows(games, "Games")]
    offered = [(game.words[0], game.play.name) for router in ROUTERS for game in router.games]
    assert sorted(rows) == sorted(offered)


def test_what_handlers_may_do_with_rounds_is_what_there_is() -> None:
    listed = {
        _codes(call)[0].partition("(")[0]: _codes(call)[0]
        for call, _ in page("docs/handlers.md").table("Games")
    }
    calls = {name: call for name, call in vars(Desk).items() if callable(call) and not name.startswith("_")}
    assert listed.keys() == calls.keys()
    for name, call in calls.items():
        named = set(re.findall(r"\w+", listed[name])) - {name}
        assert named == set(inspect.signature(call).parameters) - {"self"}


# ---------------------------------------------------------------- fairness


@_BOTH
def test_the_figures_to_try_it_with_are_right(games: Page) -> None:
    seed, round_id = bytes(range(SEED_BYTES)), "0123456789abcdef"
    assert f"`{seed.hex()}`" in games.prose
    moves = [Move(0, "app:ana", 0, "big", 10), Move(1, "app:bob", 0, "odd", 0)]
    luck = Luck(seed, round_id)
    mixed = luck.mixed(moves)
    found = [value.strip("`") for _, value in _rows(games, "Exactly", 1)]
    assert found[:3] == [
        commitment(seed), player_mark(round_id, "app:ana"), entries_hash(round_id, moves),
    ]  # fmt: skip
    assert [[int(number) for number in _listed(cell)] for cell in found[3:]] == [
        [luck.below(6, "roll 0")],
        [mixed.below(6, f"dice {number}") for number in range(3)],
        list(split_random(100, 10, luck)),
        [1 + luck.below(10, "lucky seat")],
    ]


@_BOTH
def test_which_draws_are_mixed_is_what_the_rules_say(games: Page) -> None:
    listed = {
        _codes(game)[0]: "mixed" in draws or "混合" in draws for game, draws, _ in _rows(games, "Exactly")
    }
    assert listed == {rules.name: rules.mixed for rules in _RULES.values()}


def test_as_many_digits_of_the_commitment_are_shown_as_the_page_says() -> None:
    assert SHOWN_COMMITMENT == 32
    assert "Its first 32 digits stand in the announcement" in ENGLISH.prose


def test_the_script_of_the_page_is_there() -> None:
    (line,) = ENGLISH.block("sh")
    _, script, _ = line.split()
    assert (ROOT / script).is_file()
