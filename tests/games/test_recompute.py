"""Who has nothing but a round's proof and docs/games.md finds what was told and paid in the chat."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot.api.routes import PREFIX
from bot.serve import add_pages
from bot.storage.sql.api_tokens import ApiTokenStore
from bot.testing import FakeChat, Stores
from games.fairness import player_mark
from run import ROUTERS
from tests.games import recompute as script
from tests.games.recompute import recompute

GROUP = "g1"
MEMBERS = ("bob", "cy", "dan", "eve")


@dataclass(frozen=True, slots=True)
class Table:
    """A group that plays, and the API beside it."""

    chat: FakeChat
    client: TestClient[Any, Any]
    token: str

    async def say(self, who: str, text: str) -> str:
        return await self.chat.say(who, text, group=GROUP) or ""

    async def begin(self, text: str) -> str:
        """Begin a round as the manager; return its id."""
        (round_id,) = re.findall(r"编号 ([0-9a-f]{16})，", await self.say("ana", text))
        return str(round_id)

    async def proof(self, round_id: str) -> Any:
        """Return the round's proof as the API publishes it."""
        path = f"{PREFIX}/communities/test/rounds/{round_id}/proof"
        async with self.client.get(path, headers={"Authorization": f"Bearer {self.token}"}) as response:
            return await response.json()


@pytest.fixture
async def table(stores: Stores) -> AsyncIterator[Table]:
    """Members with points, where stakes are allowed; Ana is a manager."""
    rules = {"stakes": True}
    async with FakeChat(ROUTERS, managers=["ana"], community={"games": rules}, stores=stores) as chat:
        add_pages(chat.service)
        _, token = await ApiTokenStore(chat.service.database, chat.clock).create("any", "analyst")
        async with TestClient(TestServer(chat.service.web_app)) as client:
            table = Table(chat, client, token)
            for who in MEMBERS:
                await table.say(who, "签到")
            yield table


def awards_of(proof: Any, why: str) -> dict[str, int]:
    return {award["who"]: award["points"] for award in proof["awards"] if award["why"] == why}


def mark(round_id: str, who: str) -> str:
    return player_mark(round_id, f"bot:{who}")


# ---------------------------------------------------------------- by the chat's answers


async def test_the_shares_of_a_packet_and_its_lucky_seat(table: Table) -> None:
    round_id = await table.begin("发红包 60 4 幸运20")
    answers = [await table.say(who, "抢") for who in MEMBERS]
    shares = [int(re.findall(r"份额 (\d+)", answer)[0]) for answer in answers]
    (lucky,) = [seat for seat, answer in enumerate(answers, 1) if "幸运奖 20" in answer]

    proof = await table.proof(round_id)
    assert recompute(proof) == {"promise_kept": True, "shares": shares, "lucky_seat": lucky}
    assert awards_of(proof, "share") == {
        mark(round_id, who): share + (20 if seat == lucky else 0)
        for seat, (who, share) in enumerate(zip(MEMBERS, shares, strict=True), 1)
    }


async def test_the_shares_of_a_packet_that_is_cut_equally(table: Table) -> None:
    round_id = await table.begin("发红包 11 4 均分")
    for who in MEMBERS:
        await table.say(who, "抢")
    proof = await table.proof(round_id)
    assert recompute(proof)["shares"] == [3, 3, 3, 2] == list(awards_of(proof, "share").values())


async def test_the_rolls_of_a_round_with_those_that_came_too_soon(table: Table) -> None:
    round_id = await table.begin("开局 指定点数 3 奖50 间隔10秒")
    shown: list[tuple[str, int]] = []
    said = too_soon = 0
    while not shown or shown[-1][1] != 3:
        who = MEMBERS[said % 2]  # each of them every 5 s, so that every other throw comes too soon
        answer = await table.say(who, "骰子")
        said += 1
        if "别急" in answer:
            too_soon += 1
        else:
            (value,) = re.findall(r"🎲 (\d)，", answer)
            shown.append((mark(round_id, who), int(value)))
        table.chat.pass_time(timedelta(seconds=2.5))
    proof = await table.proof(round_id)
    assert recompute(proof) == {"promise_kept": True, "rolls": shown, "winner": shown[-1][0]}
    assert awards_of(proof, "prize") == {shown[-1][0]: 50}
    assert len(proof["moves"]) == len(shown) + too_soon


@pytest.mark.parametrize("triples", ["", " 豹子输"])
async def test_big_and_small_with_the_entries_mixed_in(table: Table, triples: str) -> None:
    round_id = await table.begin(f"开局 猜大小 奖12 最多押10{triples}")
    for who, said in zip(MEMBERS, ("猜大 5", "猜小", "猜单", "猜双 3"), strict=True):
        await table.say(who, said)
    told = await table.say("ana", "结束")

    proof = await table.proof(round_id)
    found = recompute(proof)
    assert f"掷出 {'、'.join(map(str, found['dice']))}，合计 {sum(found['dice'])}" in told
    each = 12 // len(found["winners"]) if found["winners"] else 0
    assert awards_of(proof, "prize") == dict.fromkeys(found["winners"], each)
    stakes = {mark(round_id, "bob"): 5, mark(round_id, "eve"): 3}
    assert awards_of(proof, "winnings") == {
        who: 2 * stake for who, stake in stakes.items() if who in found["winners"]
    }


async def test_the_sum_of_three_dice_with_the_entries_mixed_in(table: Table) -> None:
    round_id = await table.begin("开局 猜点数 奖12")
    for who, said in zip(MEMBERS, ("猜 10", "猜 11", "猜 9", "猜 12"), strict=True):
        await table.say(who, said)
    told = await table.say("ana", "结束")

    proof = await table.proof(round_id)
    found = recompute(proof)
    assert f"掷出 {'、'.join(map(str, found['dice']))}，合计 {sum(found['dice'])}" in told
    assert awards_of(proof, "prize") == dict.fromkeys(found["winners"], 12)


async def test_the_highest_sum_and_its_sudden_deaths(table: Table) -> None:
    """With one die many rounds end in a tie; some among these do, whatever the seeds are."""
    ties = 0
    for seed in range(12):
        table.chat.service.parts.life.orders.new_seed = bytes([seed] * 32).__bytes__
        round_id = await table.begin("开局 比大小 1颗 奖10")
        for who in MEMBERS:
            await table.say(who, "加入")
        told = await table.say("ana", "结束")
        table.chat.pass_time(timedelta(seconds=11))

        proof = await table.proof(round_id)
        found = recompute(proof)
        assert awards_of(proof, "prize") == {found["winner"]: 10}
        for who, total in zip(MEMBERS, found["sums"], strict=True):
            assert re.search(rf"\d\. {who}　{total} 点", told)
        assert (f"加掷 {found['ties']} 次" in told) == (found["ties"] > 0)
        ties += found["ties"] > 0
    assert ties > 0


async def test_too_few_for_the_highest_sum(table: Table) -> None:
    round_id = await table.begin("开局 比大小")
    await table.say("bob", "加入")
    await table.say("ana", "结束")
    assert recompute(await table.proof(round_id)) == {"promise_kept": True, "winner": ""}


# ---------------------------------------------------------------- a proof that somebody changed


async def bets(table: Table) -> Any:
    """Return the proof of a round in which all said big."""
    round_id = await table.begin("开局 猜大小")
    for who in MEMBERS:
        await table.say(who, "猜大")
    await table.say("ana", "结束")
    return await table.proof(round_id)


async def test_another_list_of_entries_has_another_hash_and_another_seed_breaks_the_promise(
    table: Table,
) -> None:
    proof = await bets(table)
    entries = script.entries_hash(proof)
    fewer, other = {**proof, "moves": proof["moves"][1:]}, {**proof["moves"][0], "said": "odd"}
    changed = {**proof, "moves": [other, *proof["moves"][1:]]}
    assert len({entries, script.entries_hash(fewer), script.entries_hash(changed)}) == 3
    assert recompute({**proof, "seed": "00" * 32})["promise_kept"] is False


# ---------------------------------------------------------------- the script and the publication


async def test_it_runs_alone_on_nothing_but_the_standard_library(table: Table, tmp_path: Path) -> None:
    proof = await bets(table)
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(proof), encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(script.__file__), str(file)]
    said = await asyncio.to_thread(subprocess.check_output, command, cwd=tmp_path)
    assert json.loads(said) == json.loads(json.dumps(recompute(proof)))


async def test_the_seed_and_the_moves_are_published_only_after_the_end(table: Table) -> None:
    round_id = await table.begin("开局 猜大小")
    await table.say("bob", "猜大")
    proof = await table.proof(round_id)
    assert (proof["seed"], proof["moves"], proof["awards"]) == (None, None, None)
    assert len(proof["commitment"]) == 64
