"""Rounds through the API: begun, listed, looked at, cancelled and proved."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.model import Reply as Said
from bot.rounds.play import Announcing, Game
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.rounds import MoveWord
from bot.storage.sql.deliveries import DeliveryHistory
from games.dice_size import DiceSize
from games.fairness import Luck, player_mark
from games.red_packet import RedPacket
from handlers.play import RulesInPlay
from run import ROUTERS
from tests.api.world import CONFIG, World, close_world, open_world

ROUNDS = "/communities/milk/rounds"
PACKET = {"game": "packet", "total": 30, "shares": 3, "request_id": "r1"}
BETS = {"game": "bets", "prize": 20, "stake_most": 50, "request_id": "b1"}
_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def _announced(told: Announcing) -> str:
    return f"红包 {told.round.pot} 分（{told.round.id}）"


def _router() -> Router:
    """Return two games under names of their own, and two words to play them."""
    packet = RulesInPlay(RedPacket(), listens=True, conditions=True)
    bets = RulesInPlay(DiceSize())
    packet.name, bets.name = "packet", "bets"
    router = Router("games of the tests")
    router.game(Game(packet, lambda _: "抢完了", ("小红包",), announce=_announced))
    router.game(Game(bets, lambda told: f"开 {told.facts.get('dice')}", ("小骰子",)))

    @router.command("拿", takes_text=True)
    async def take(ctx: Context) -> Said:
        (found,) = ctx.rounds.open("packet")
        play = await ctx.rounds.take(found)
        return Said.text(f"{play.word.value} {play.points}")

    @router.command("押", takes_text=True)
    async def bet(ctx: Context) -> Said:
        (found,) = ctx.rounds.open("bets")
        said, _, stake = ctx.rest.partition(" ")
        play = await ctx.rounds.move(found, said, int(stake or 0))
        return Said.text(play.word.value)

    return router


def _config() -> dict[str, list[dict[str, Any]]]:
    config = deepcopy(CONFIG)
    config["channels"] += [
        {
            "name": "bot", "kind": "wecom_aibot", "token": "token", "encoding_aes_key": _KEY,
            "bot_id": "b", "secret": "s", "mode": "callback",
        },
        {
            "name": "held", "kind": "wecom_aibot", "mode": "long_connection", "bot_id": "h", "secret": "s",
        },
    ]  # fmt: skip
    milk = config["communities"][0]
    milk["channels"] = ["app", "bot", "held"]
    milk["games"] = {
        "stakes": True, "budget_per_day": 100, "off": ["dice_sum"],
        "own": {"packet": {"most_open": 2}, "bets": {"cool_down_s": 60}},
    }  # fmt: skip
    return config


@pytest.fixture
async def world(redis_url: str, database_url: str) -> AsyncIterator[World]:
    routers = (*ROUTERS[:-1], _router(), ROUTERS[-1])
    opened = await open_world(redis_url, database_url, config=_config(), routers=routers)
    yield opened
    await close_world(opened)


async def _end(world: World, round_id: str) -> None:
    """Let a round's time pass."""
    world.clock.move(timedelta(hours=2))
    life, community = world.service.parts.life, world.service.parts.communities.get("milk")
    assert community is not None
    assert await life.end(community, round_id, "time") is not None


# ---------------------------------------------------------------- begun


async def test_a_round_is_begun_once_for_its_request_and_shown_as_it_is(world: World) -> None:
    first = await world.post(ROUNDS, PACKET)
    assert first.status == 201
    shown = first.body
    assert shown["settings"].items() >= {"total": 30, "shares": 3, "member_days": 0}.items()
    assert {name: shown[name] for name in ("game", "state", "end", "group", "host", "payer")} == {
        "game": "packet", "state": "open", "end": None, "group": None, "host": "api:boss", "payer": "budget",
    }  # fmt: skip
    figures = ("pot", "staked", "house", "paid", "refund", "moves", "seats_left")
    assert [shown[name] for name in figures] == [30, 0, 0, 0, 0, 0, 3]
    assert (shown["seed"], shown["facts"], shown["announced"]) == (None, None, False)
    assert shown["opened_at"] == "2026-03-02T12:00:00.000+08:00"
    assert shown["ends_at"] == "2026-03-02T13:00:00.000+08:00"

    again = await world.post(ROUNDS, PACKET)
    assert (again.status, again.body) == (200, shown)
    assert len(await world.items(ROUNDS)) == 1
    for other in ({"total": 31}, {"best": 1}, {"life_s": 70}, {"group": "bot:g1"}):
        reply = await world.post(ROUNDS, {**PACKET, **other})
        assert (reply.status, reply.word) == (409, "request_id_reused"), other


async def test_a_request_finds_its_round_also_when_redis_has_forgotten_everything(world: World) -> None:
    shown = (await world.post(ROUNDS, PACKET)).body
    await world.post(f"{ROUNDS}/{shown['id']}/cancel")
    async for names in world.service.redis.scan("hq:*"):
        for name in names:
            await world.service.redis.call("DEL", name)
    again = await world.post(ROUNDS, PACKET)
    assert (again.status, again.body["id"], again.body["state"]) == (200, shown["id"], "cancelled")
    other = await world.post(ROUNDS, {**PACKET, "total": 31})
    assert (other.status, other.word) == (409, "request_id_reused")


async def test_many_at_once_under_one_request_begin_one_round(world: World) -> None:
    replies = await asyncio.gather(*(world.post(ROUNDS, PACKET) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200] * 7 + [201]
    assert len({reply.body["id"] for reply in replies}) == 1
    assert len(await world.items(ROUNDS)) == 1


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"game": "packets"}, "game"),
        ({"game": "dice_sum", "total": None}, "game"),
        ({"total": 0}, "total"),
        ({"total": "30"}, "total"),
        ({"shares": 31}, "total"),
        ({"totl": 30}, "totl"),
        ({"word": "a\0b"}, "word"),
        ({"checked_in": 1}, "checked_in"),
        ({"life_s": 9}, "life_s"),
        ({"life_s": "60"}, "life_s"),
        ({"group": "g1"}, "group"),
        ({"group": "nowhere:g1"}, "group"),
        ({"group": "oa:g1"}, "group"),
        ({"group": "app:wr1"}, "group"),
        ({"group": "app:mine"}, "group"),
        ({"request_id": ""}, "request_id"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named_with_its_cure_and_burns_no_request(
    world: World, change: dict[str, Any], path: str
) -> None:
    reply = await world.post(ROUNDS, {**PACKET, **change})
    assert (reply.status, reply.word) == (422, "invalid")
    assert path in reply.flaws
    problem, cure = reply.flaws[path]
    assert problem
    if path not in {"life_s", "request_id"}:
        assert cure
    assert (await world.post(ROUNDS, PACKET)).status == 201


async def test_why_no_round_can_be_begun_now(world: World) -> None:
    assert (await world.post(ROUNDS, {**PACKET, "total": 90})).status == 201
    poor = await world.post(ROUNDS, {**PACKET, "request_id": "r2"})
    assert (poor.status, poor.word) == (409, "budget_spent")
    assert "30 points" in poor.body["detail"]
    assert "10 left" in poor.body["detail"]
    assert (await world.post(ROUNDS, {**PACKET, "request_id": "r2", "total": 5})).word == "request_id_reused"
    begun = await world.post(ROUNDS, {**BETS, "prize": 1})
    busy = await world.post(ROUNDS, {**BETS, "prize": 1, "request_id": "b2"})
    assert (busy.status, busy.word) == (409, "round_open")
    assert begun.body["id"] in busy.body["detail"]
    await world.post(f"{ROUNDS}/{begun.body['id']}/cancel")
    resting = await world.post(ROUNDS, {**BETS, "prize": 1, "request_id": "b2"})
    assert (resting.status, resting.word) == (409, "game_resting")
    world.clock.move(timedelta(seconds=61))
    assert (await world.post(ROUNDS, {**BETS, "prize": 1, "request_id": "b2"})).status == 201


async def test_a_group_is_told_of_its_round_where_the_channel_can_speak_there_by_itself(
    world: World,
) -> None:
    reply = await world.post(ROUNDS, {**PACKET, "group": "held:g1", "life_s": 600})
    assert (reply.status, reply.body["announced"], reply.body["group"]) == (201, True, "held:g1")
    again = await world.post(ROUNDS, {**PACKET, "group": "held:g1", "life_s": 600})
    assert (again.status, again.body["announced"]) == (200, True)
    await world.service.drain.flush_all()
    page = await DeliveryHistory(world.service.database).page(feature="games")
    (told,) = page.items
    assert (told.channel, told.group_id, told.state) == ("held", "g1", "queued")
    assert json.loads(told.parts)[0]["text"] == f"红包 30 分（{reply.body['id']}）"
    assert told.useful_until_ms == world.clock.now_ms() + 600_000

    # By callback an AI bot can only answer; a game without such a text says nothing.
    silent = await world.post(ROUNDS, {**PACKET, "group": "bot:g1", "request_id": "r2"})
    assert (silent.status, silent.body["announced"]) == (201, False)
    wordless = await world.post(ROUNDS, {**BETS, "group": "held:g1"})
    assert (wordless.status, wordless.body["announced"]) == (201, False)
    await world.service.drain.flush_all()
    assert len((await DeliveryHistory(world.service.database).page(feature="games")).items) == 1


async def test_a_round_of_a_group_is_played_there_and_one_of_none_in_direct_chats(world: World) -> None:
    await world.post(ROUNDS, {**PACKET, "group": "bot:g1"})
    await world.post(ROUNDS, {**BETS, "prize": 10})
    assert (await world.say("ana", "拿", channel="bot", group="g1") or "").startswith(MoveWord.DONE.value)
    assert await world.say("ana", "押 big", channel="app") == MoveWord.DONE.value


# ---------------------------------------------------------------- looked at


async def test_the_list_has_filters_and_shows_open_rounds_as_they_are(world: World) -> None:
    ids = []
    for number, body in enumerate((PACKET, {**PACKET, "group": "bot:g1"}, BETS)):
        world.clock.move(timedelta(seconds=1))
        ids.append((await world.post(ROUNDS, {**body, "request_id": f"x{number}"})).body["id"])
    await world.say("ana", "拿", channel="app")
    await world.say("bob", "拿", channel="app")
    await world.post(f"{ROUNDS}/{ids[2]}/cancel")

    async def listed(**params: str) -> list[str]:
        return [item["id"] for item in await world.items(ROUNDS, limit="1", **params)]

    assert await listed() == ids[::-1]
    assert await listed(game="packet") == [ids[1], ids[0]]
    assert await listed(state="open") == [ids[1], ids[0]]
    assert await listed(state="cancelled", game="bets") == [ids[2]]
    assert await listed(group="bot:g1") == [ids[1]]
    assert await listed(group="*") == [ids[2], ids[0]]
    (shown,) = [item for item in await world.items(ROUNDS) if item["id"] == ids[0]]
    one = (await world.get(f"{ROUNDS}/{ids[0]}")).body
    assert one.pop("results") is None
    assert shown == one
    assert (shown["moves"], shown["seats_left"], shown["state"]) == (2, 1, "open")
    assert 2 <= shown["paid"] < 30
    reply = await world.get(ROUNDS, state="ended")
    assert (reply.status, list(reply.flaws)) == (422, ["state"])


async def test_a_round_that_has_ended_shows_seed_facts_and_results(world: World) -> None:
    id_ = (await world.post(ROUNDS, {**PACKET, "best": 4})).body["id"]
    for who in ("ana", "bob", "cyd"):
        await world.say(who, "拿")
    shown = (await world.get(f"{ROUNDS}/{id_}")).body
    assert (shown["state"], shown["end"], shown["paid"], shown["refund"]) == ("closed", "over", 34, 0)
    assert hashlib.sha256(bytes.fromhex(shown["seed"])).hexdigest() == shown["commitment"]
    assert (shown["facts"]["taken"], shown["ended_at"]) == (3, "2026-03-02T12:00:00.000+08:00")
    results = {(row["member"], row["why"]) for row in shown["results"]}
    shares = {(f"app:{who}", "share") for who in ("ana", "bob", "cyd")}
    assert results == {*shares, (shown["facts"]["best_member"], "best_luck")}
    assert sum(row["points"] for row in shown["results"]) == 34

    await world.service.drain.flush_all()
    live = (await world.get(f"{ROUNDS}/{id_}")).body
    for store in ("round", "round_moves"):
        await world.service.redis.call("DEL", world.service.keys.key(store, "milk", id_))
    assert (await world.get(f"{ROUNDS}/{id_}")).body == live  # from history
    for name in ("nothing", "0123456789abcdef", "%00", id_.upper()):
        assert (await world.get(f"{ROUNDS}/{name}")).word == "not_found"
    assert (await world.get(f"/communities/tea/rounds/{id_}")).word == "not_found"


# ---------------------------------------------------------------- cancelled


async def test_a_cancelled_round_gives_the_stakes_back_and_stays_cancelled(world: World) -> None:
    order = {"member": "app:ana", "delta": 50, "request_id": "points"}
    await world.post("/communities/milk/ledger", order)
    id_ = (await world.post(ROUNDS, BETS)).body["id"]
    assert await world.say("ana", "押 big 30") == "done"
    open_one = (await world.get(f"{ROUNDS}/{id_}")).body
    assert (open_one["staked"], open_one["house"], open_one["moves"]) == (30, 30, 1)
    cancelled = await world.post(f"{ROUNDS}/{id_}/cancel")
    assert (cancelled.status, cancelled.body["state"], cancelled.body["end"]) == (
        200,
        "cancelled",
        "cancelled",
    )
    assert (cancelled.body["paid"], cancelled.body["refund"]) == (30, 50)
    assert cancelled.body["results"] == [{"member": "app:ana", "points": 30, "why": "stake_back"}]
    assert (await world.post(f"{ROUNDS}/{id_}/cancel")).body == cancelled.body
    member = (await world.get("/communities/milk/members/app:ana")).body
    assert member["points"] == 50

    world.clock.move(timedelta(minutes=2))
    other = (await world.post(ROUNDS, {**BETS, "request_id": "b2"})).body["id"]
    await _end(world, other)
    reply = await world.post(f"{ROUNDS}/{other}/cancel")
    assert (reply.status, reply.word) == (409, "round_over")
    assert (await world.post(f"{ROUNDS}/0123456789abcdef/cancel")).word == "not_found"


async def test_an_open_round_that_only_history_knows_waits_for_a_rebuild(world: World) -> None:
    id_ = (await world.post(ROUNDS, PACKET)).body["id"]
    await world.service.drain.flush_all()
    await world.service.redis.call("DEL", world.service.keys.key("round", "milk", id_))
    assert (await world.get(f"{ROUNDS}/{id_}")).body["state"] == "open"
    world.service.parts.life.replays.forget()  # as a process that has just been started
    reply = await world.post(f"{ROUNDS}/{id_}/cancel")
    assert (reply.status, reply.word) == (503, "store_away")


# ---------------------------------------------------------------- proved


async def test_the_proof_of_an_open_round_tells_nothing_that_helps_to_play(world: World) -> None:
    id_ = (await world.post(ROUNDS, PACKET)).body["id"]
    await world.say("ana", "拿")
    proof = (await world.get(f"{ROUNDS}/{id_}/proof")).body
    secrets = ("seed", "moves", "awards", "recomputed")
    assert [proof[name] for name in secrets] == [None] * 4
    assert len(proof["commitment"]) == 64
    assert (await world.get(f"{ROUNDS}/0123456789abcdef/proof")).word == "not_found"


async def test_a_proof_recomputes_and_names_nobody(world: World) -> None:
    await world.post("/communities/milk/ledger", {"member": "app:ana", "delta": 50, "request_id": "p"})
    id_ = (await world.post(ROUNDS, BETS)).body["id"]
    await world.say("ana", "押 big 30")
    await world.say("bob", "押 small")
    await _end(world, id_)
    reply = await world.get(f"{ROUNDS}/{id_}/proof")
    proof = reply.body
    assert proof["recomputed"] == {"agrees": True, "problems": []}
    assert "app:ana" not in json.dumps(proof)
    mine = player_mark(id_, "app:ana")
    assert [(move["who"], move["said"], move["stake"]) for move in proof["moves"]] == [
        (mine, "big", 30), (player_mark(id_, "app:bob"), "small", 0),
    ]  # fmt: skip
    assert hashlib.sha256(bytes.fromhex(proof["seed"])).hexdigest() == proof["commitment"]
    assert sum(award["points"] for award in proof["awards"]) == proof["paid"]
    # Whoever has no more than this finds the same: the rules take marks for members.
    rules = DiceSize()
    settings = rules.settings(proof["settings"])
    luck = Luck(bytes.fromhex(proof["seed"]), id_)
    entries = "".join(f"{move['who']} {move['said']} {move['stake']}\n" for move in proof["moves"])
    mixed = replace(luck, entries=hashlib.sha256(entries.encode()).hexdigest())
    shown = (await world.get(f"{ROUNDS}/{id_}")).body
    assert list(mixed.dice(3, 6, "dice")) == shown["facts"]["dice"]
    assert rules.pot(settings) == proof["pot"]


async def test_what_was_changed_in_history_is_found(world: World) -> None:
    id_ = (await world.post(ROUNDS, PACKET)).body["id"]
    for who in ("ana", "bob", "cyd"):
        await world.say(who, "拿")
    await world.service.drain.flush_all()
    async with world.service.database.write() as connection:
        await connection.execute(text("UPDATE ledger SET delta = delta + 1 WHERE member = 'app:bob'"))
    recomputed = (await world.get(f"{ROUNDS}/{id_}/proof")).body["recomputed"]
    assert recomputed["agrees"] is False
    (problem,) = recomputed["problems"]
    assert problem.startswith(f"Player {player_mark(id_, 'app:bob')}, share: ")
