"""The public page of a round, as anybody's browser gets it."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import StoreUnavailableError
from bot.rounds.records import RoundRecords
from games.fairness import player_mark
from tests.api.test_rounds import BETS, PACKET, ROUNDS
from tests.api.test_rounds import world as world_with_games
from tests.api.world import World

world = world_with_games


async def _page(world: World, path: str, **params: str) -> tuple[int, str, Any]:
    async with world.client.get(path, params=params) as response:
        return response.status, await response.text(), response.headers


async def _packet(world: World, *members: str) -> str:
    """Begin a packet for three and let members take from it."""
    id_ = str((await world.post(ROUNDS, {**PACKET, "blessing": "<b>恭喜</b>"})).body["id"])
    for member in members:
        await world.say(member, "拿")
    return id_


async def test_while_a_round_is_open_the_page_shows_what_was_committed_to_and_counts(world: World) -> None:
    id_ = await _packet(world, "ana")
    shown = (await world.get(f"{ROUNDS}/{id_}")).body
    status, page, headers = await _page(world, f"/rounds/milk/{id_}")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert shown["commitment"] in page
    live = await world.service.parts.life.store.get("milk", id_)
    assert live is not None
    assert live.seed not in page
    assert 'data-seed=""' in page
    for secret in ("ana", "恭喜", player_mark(id_, "app:ana"), "<table"):
        assert secret not in page, secret
    assert "<dd>1</dd>" in page
    assert "<dd>2</dd>" in page  # seats left


async def test_after_the_end_it_shows_seed_moves_awards_and_that_all_agrees(world: World) -> None:
    id_ = await _packet(world, "ana", "bob", "cyd")
    _, page, _ = await _page(world, f"/rounds/milk/{id_}")
    proof = (await world.get(f"{ROUNDS}/{id_}/proof")).body
    assert proof["seed"] in page
    assert "完全一致" in page
    assert "everything agrees" in page
    for member in ("app:ana", "app:bob", "app:cyd"):
        mark = player_mark(id_, member)
        assert len(re.findall(f'<tr data-mark="{mark}">', page)) == 2  # its move and its share
        assert member not in page
    assert "&lt;b&gt;恭喜" in page
    assert "<b>" not in page


async def test_what_does_not_agree_is_said(world: World) -> None:
    id_ = await _packet(world, "ana", "bob", "cyd")
    await world.service.drain.flush_all()
    async with world.service.database.write() as connection:
        await connection.execute(text("UPDATE rounds SET seed = :seed"), {"seed": "ab" * 32})
    _, page, _ = await _page(world, f"/rounds/milk/{id_}")
    assert "以下各处不一致" in page
    assert "The seed is not the one that was committed to" in page


async def test_nothing_in_the_page_runs_but_its_own_script(world: World) -> None:
    id_ = await _packet(world, "ana", "bob", "cyd")
    for path in (f"/rounds/milk/{id_}", "/rounds/milk/0123456789abcdef"):
        _, page, headers = await _page(world, path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page)
    for name, kind in (("round.css", "text/css"), ("round.js", "text/javascript")):
        status, body, headers = await _page(world, f"/rounds/{name}")
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert "http" not in body  # nothing is asked of anybody else


@pytest.mark.parametrize(
    "path",
    ["/rounds", "/rounds/", "/rounds/milk", "/rounds/milk/", "/rounds/nowhere/0123456789abcdef",
     "/rounds/milk/0123456789abcdef", "/rounds/milk/%00", "/rounds/milk/a/b", "/rounds/%ff/%ff"],
)  # fmt: skip
async def test_an_unknown_round_is_a_page_that_says_so(world: World, path: str) -> None:
    status, page, _ = await _page(world, path)
    assert status == 404
    assert "没有这一局" in page
    assert "There is no such round" in page


async def test_a_round_of_another_community_is_not_shown(world: World) -> None:
    id_ = await _packet(world)
    assert (await _page(world, f"/rounds/tea/{id_}"))[0] == 404


@pytest.mark.parametrize("store", ["redis", "sql"])
async def test_a_store_that_is_away_is_no_fault_of_ours(
    world: World, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await _packet(world, "ana", "bob", "cyd")

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailableError("away")

    owner, name = (world.service.redis, "call_many") if store == "redis" else (world.service.database, "read")
    monkeypatch.setattr(type(owner), name, away)
    status, page, headers = await _page(world, f"/rounds/milk/{id_}")
    assert (status, headers["Retry-After"]) == (503, "5")
    assert "暂时无法显示" in page


async def test_a_proof_is_computed_once_a_minute_however_many_ask(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = 0
    proof = RoundRecords.proof

    async def counted(self: RoundRecords, *args: Any) -> Any:
        nonlocal computed
        computed += 1
        return await proof(self, *args)

    monkeypatch.setattr(RoundRecords, "proof", counted)
    id_ = await _packet(world, "ana", "bob", "cyd")
    pages = await asyncio.gather(*(_page(world, f"/rounds/milk/{id_}") for _ in range(10)))
    assert {status for status, _, _ in pages} == {200}
    assert computed == 1


async def test_a_long_round_is_shown_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.proofs.page._ROWS", 2)
    id_ = await _packet(world, "ana", "bob", "cyd")
    marks = [player_mark(id_, f"app:{who}") for who in ("ana", "bob", "cyd")]

    async def shown(first: str) -> list[bool]:
        _, page, _ = await _page(world, f"/rounds/milk/{id_}", **{"from": first} if first else {})
        moves = page.partition("<h2>步骤")[2].partition("</section>")[0]
        return [f'data-mark="{mark}"' in moves for mark in marks]

    assert await shown("") == [True, True, False]
    assert await shown("2") == [False, False, True]
    for odd in ("-1", "x", "9" * 30):
        assert await shown(odd) == [True, True, False]
    assert await shown("99") == [False] * 3


async def test_a_round_of_bets_shows_stakes(world: World) -> None:
    await world.post("/communities/milk/ledger", {"member": "app:ana", "delta": 50, "request_id": "p"})
    id_ = (await world.post(ROUNDS, BETS)).body["id"]
    await world.say("ana", "押 big 30")
    world.clock.move(timedelta(hours=2))
    community = world.service.parts.communities.get("milk")
    assert community is not None
    await world.service.parts.life.end(community, id_, "time")
    _, page, _ = await _page(world, f"/rounds/milk/{id_}")
    assert "<td>big</td><td>30</td>" in page
    assert "完全一致" in page
