"""The AI bot in callback mode, over HTTP and real encryption: streams, polls, late answers, refusals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlencode

import pytest

from bot.storage.sql import tables
from tests.aibot_vendor import AibotVendor, Json
from tests.e2e.aibot_scene import CHANNEL, Scene, aibot_scene
from tests.e2e.lines import Answer, Line, lines_to_workers
from tests.e2e.records import Records, Row, until

# On embedded stores alone: `tests/storage` does its scripts on all.
pytestmark = pytest.mark.crash

Sender: TypeAlias = Callable[[Line], Awaitable[Answer]]

WORKING = "正在处理，请稍候…"
ELSEWHERE = "回复在下一条消息里。"


async def delivery(records: Records, user_id: str, state: str) -> Row:
    """Wait until the one delivery to a member is in `state`, and return it."""

    async def is_there() -> bool:
        return bool(await records.rows(tables.deliveries, member=f"{CHANNEL}:{user_id}", state=state))

    await until(is_there, f"a delivery {state}", 30.0)
    (row,) = await records.rows(tables.deliveries, member=f"{CHANNEL}:{user_id}")
    return row


# ---------------------------------------------------------------- in time


async def test_a_group_talks_to_the_bot_and_is_answered_in_finished_streams(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                first = await scene.stream(line, scene.vendor.text("签到", group="wr1"))
                assert first["finish"] is True
                assert "签到成功" in first["content"]
                again = await scene.stream(line, scene.vendor.text("签到", "ben", group="wr1"))
                assert "签到成功" in again["content"]
                assert await scene.ask(line, scene.vendor.text("今天天气不错", group="wr1")) == {}
                quote = {"msgtype": "text", "text": {"content": "机器坏了"}}
                quoted = await scene.stream(line, scene.vendor.text("引", group="wr1", quote=quote))
                assert quoted["content"] == "引用了 机器坏了"
                held = await records.drained(member="bot:ana")
                assert sum(delta for _, delta in held.deltas) == 10
                assert held.messages == 3
                assert {row["group_id"] for row in held.activity} == {"wr1"}


async def test_words_of_pictures_and_voice_are_commands_too(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                items = [
                    {"msgtype": "image", "image": {"url": "https://i"}},
                    {"msgtype": "text", "text": {"content": "@Ops 签到"}},
                ]
                mixed = scene.vendor.message(group="wr1", msgtype="mixed", mixed={"msg_item": items})
                assert "签到成功" in (await scene.stream(line, mixed))["content"]
                voice = scene.vendor.message(msgtype="voice", voice={"content": "记 听见了"})
                assert (await scene.stream(line, voice))["content"] == "记下了 听见了"
                picture = scene.vendor.message(msgtype="image", image={"url": "https://i"})
                assert await scene.ask(line, picture) == {}


async def test_events_get_the_answers_they_take_and_no_other(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                entered = await scene.ask(line, scene.vendor.event("enter_chat"))
                assert entered["msgtype"] == "text"
                assert "ana" in entered["text"]["content"] or "欢迎" in entered["text"]["content"]
                assert (await scene.ask(line, scene.vendor.text("卡")))["msgtype"] == "template_card"
                click = {"card_type": "button_interaction", "task_id": "t-1"}
                update = await scene.ask(
                    line, scene.vendor.event("template_card_event", event_key="yes", **click)
                )
                assert update["response_type"] == "update_template_card"
                assert update["userids"] == ["ana"]
                # A text answers no click: it goes to the event's address.
                other = scene.vendor.event("template_card_event", "ben", event_key="no", **click)
                assert await scene.ask(line, other) == {}
                assert (await scene.received(other))["markdown"]["content"] == "点了别的"
                await delivery(records, "ben", "delivered")
                assert await scene.ask(line, scene.vendor.event("feedback_event", id="fb", type=2)) == {}


async def test_a_repeat_has_the_same_answer_and_counts_once(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path, workers=2) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, lines_to_workers(server, 2) as workers:
                lines = [line for opened in workers.values() for line in opened]
                message = scene.vendor.text("抽签")
                answers = await asyncio.gather(*(scene.stream(line, message) for line in lines))
                answers.append(await scene.stream(lines[0], message))
                assert answers[0]["content"].startswith("抽到 ")
                assert answers == [answers[0]] * 5
                held = await records.drained(member="bot:ana")
                assert held.messages == 1


# ---------------------------------------------------------------- late


async def test_a_late_answer_arrives_in_the_polled_stream_and_nowhere_else(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                message = scene.vendor.text("显 a", group="wr1")
                begun = await scene.stream(line, message)
                assert (begun["finish"], begun["content"]) == (False, "一半 a")
                assert await scene.stream(line, scene.vendor.poll(begun["id"])) == begun
                scene.open_gate("a")
                ended = await scene.polled(line, begun["id"])
                assert ended == {"id": begun["id"], "finish": True, "content": "全部 a"}
                # Polled twice, repeated, polled once more: the same each time.
                assert await scene.stream(line, scene.vendor.poll(begun["id"])) == ended
                assert await scene.stream(line, message) == ended
                row = await delivery(records, "ana", "delivered")
                assert (row["next_part"], row["attempts"]) == (1, 0)
                assert scene.addresses.posts == []
                assert (await records.drained(member="bot:ana")).messages == 1  # polls are no messages


async def test_two_polls_at_once_on_two_processes_get_the_same(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path, workers=2) as scene:
        with scene.deployment.serve() as server:
            async with lines_to_workers(server, 2) as workers:
                lines = [line for opened in workers.values() for line in opened]
                begun = await scene.stream(lines[0], scene.vendor.text("等 a"))
                assert begun["content"] == WORKING
                scene.open_gate("a")
                answers = await asyncio.gather(*(scene.polled(line, begun["id"]) for line in lines))
                assert [answer["content"] for answer in answers] == ["等到了 a"] * 4


async def test_what_nobody_polls_for_goes_to_the_address_once(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                message = scene.vendor.text("等 a")
                begun = await scene.stream(line, message)
                scene.open_gate("a")
                assert (await scene.received(message, 30.0)) == {
                    "msgtype": "markdown",
                    "markdown": {"content": "等到了 a"},
                }
                await delivery(records, "ana", "delivered")
                for late in (scene.vendor.poll(begun["id"]), message):
                    assert await scene.stream(line, late) == {
                        "id": begun["id"], "finish": True, "content": ELSEWHERE,
                    }  # fmt: skip
                assert len(scene.addresses.posts) == 1


async def test_a_handler_that_has_nothing_to_say_ends_its_stream(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                begun = await scene.stream(line, scene.vendor.text("哑 a"))
                scene.open_gate("a")
                assert (await scene.polled(line, begun["id"]))["content"] == "处理完了。"


async def test_a_late_card_ends_the_stream(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                begun = await scene.stream(line, scene.vendor.text("卡 a"))
                scene.open_gate("a")

                async def finished() -> bool:
                    answer = await scene.ask(line, scene.vendor.poll(begun["id"]))
                    card = answer.get("template_card", {})
                    return bool(
                        card.get("main_title") == {"title": "去不去？"} and answer["stream"]["finish"]
                    )

                await until(finished, "the card")


async def test_the_second_part_takes_the_address_and_the_third_is_listed_with_its_reason(
    tmp_path: Path,
) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                message = scene.vendor.text("多 a")
                begun = await scene.stream(line, message)
                scene.open_gate("a")
                assert (await scene.polled(line, begun["id"]))["content"] == "第一 a"
                second = await scene.received(message)
                assert second["template_card"]["main_title"] == {"title": "第二 a"}
                row = await delivery(records, "ana", "dead")
                assert (row["reason"], row["next_part"]) == ("response_url_used", 2)
                assert len(scene.addresses.posts) == 1


async def test_of_an_answer_in_time_the_second_part_takes_the_address_and_the_third_is_listed(
    tmp_path: Path,
) -> None:
    async with aibot_scene(tmp_path) as scene:
        scene.open_gate("a")
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                message = scene.vendor.text("多 a")
                first = await scene.stream(line, message)
                assert (first["finish"], first["content"]) == (True, "第一 a")
                second = await scene.received(message)
                assert second["template_card"]["main_title"] == {"title": "第二 a"}
                row = await delivery(records, "ana", "dead")
                assert (row["reason"], row["next_part"]) == ("response_url_used", 1)
                assert len(scene.addresses.posts) == 1


async def test_the_fourth_answer_under_way_is_told_to_come_apart(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                messages = [scene.vendor.text(f"等 {name}") for name in "abcd"]
                begun = [await scene.stream(line, message) for message in messages]
                assert [stream["finish"] for stream in begun] == [False, False, False, True]
                assert "单独" in begun[3]["content"]
                assert await scene.stream(line, messages[3]) == begun[3]
                # Another member, and, once one has ended, the same one, may have a stream again.
                other = await scene.stream(line, scene.vendor.text("等 e", "ben"))
                assert other["finish"] is False
                scene.open_gate("d")
                assert (await scene.received(messages[3]))["markdown"]["content"] == "等到了 d"
                scene.open_gate("a")
                assert (await scene.polled(line, begun[0]["id"]))["content"] == "等到了 a"
                again = await scene.stream(line, scene.vendor.text("等 f"))
                assert again["finish"] is False


async def test_without_an_address_what_nobody_polls_for_is_listed(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        vendor = AibotVendor()
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                await scene.stream(line, vendor.text("等 a"))
                scene.open_gate("a")
                row = await delivery(records, "ana", "dead")
                assert row["reason"] == "no_route"
                assert "等到了 a" in row["parts"]


@pytest.mark.parametrize("address", ["http://203.0.113.7/x?response_code=S", "ftp://x/?response_code=S", "x"])
async def test_an_address_that_is_not_to_be_trusted_is_not_called(tmp_path: Path, address: str) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                click = scene.vendor.event("template_card_event", event_key="no", task_id="t")
                assert await scene.ask(line, click | {"response_url": address}) == {}
                assert (await delivery(records, "ana", "dead"))["reason"] == "response_url_untrusted"


async def test_a_redirect_is_not_followed_and_the_address_is_in_no_log(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                click = scene.vendor.event("template_card_event", event_key="no", task_id="t")
                address = f"{scene.addresses.base}/moved?response_code=hidden-code"
                assert await scene.ask(line, click | {"response_url": address}) == {}

                async def tried() -> bool:
                    rows = await records.rows(tables.deliveries, member="bot:ana", reason="unreachable")
                    return bool(rows)

                await until(tried, "an attempt", 30.0)
                assert scene.addresses.posts == []
                assert "hidden-code" not in server.log()


async def test_an_answer_whose_receipt_is_lost_is_not_said_twice(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        scene.addresses.drop = 1
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                click = scene.vendor.event("template_card_event", event_key="no", task_id="t")
                assert await scene.ask(line, click) == {}
                row = await delivery(records, "ana", "dead")
                assert row["reason"] == "response_url_unsure"
                assert len(scene.addresses.received) == 1
                assert len(scene.addresses.refused) == 1


# ---------------------------------------------------------------- crashes


async def test_killed_between_acknowledgement_and_answer_another_finishes_and_the_poll_gets_it(
    tmp_path: Path,
) -> None:
    async with aibot_scene(tmp_path, workers=2) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, lines_to_workers(server, 1) as workers:
                by_pid = {worker.pid: worker for worker in server.workers()}
                (victim, (line,)), (_, (other,)) = workers.items()
                message = scene.vendor.text("等 a")
                begun = await scene.stream(line, message)
                by_pid[victim].send(signal.SIGKILL)
                await scene.begun("a", times=2)  # after the lease
                assert await scene.stream(other, message) == begun
                scene.open_gate("a")
                ended = await scene.polled(other, begun["id"])
                assert ended["content"] == "等到了 a"
                await delivery(records, "ana", "delivered")
                assert scene.addresses.posts == []


async def test_the_whole_server_killed_after_the_acknowledgement_the_next_one_finishes(
    tmp_path: Path,
) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                begun = await scene.stream(line, scene.vendor.text("等 a"))
            server.kill()
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                assert (await scene.stream(line, scene.vendor.poll(begun["id"]))) == begun
                scene.open_gate("a")
                assert (await scene.polled(line, begun["id"]))["content"] == "等到了 a"


# ---------------------------------------------------------------- refusals


async def test_what_is_not_the_vendors_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with scene.deployment.records() as records, Line(server.base) as line:
                assert "签到成功" in (await scene.stream(line, scene.vendor.text("签到", "ben")))["content"]
                before = await records.everything()
                for status, message in refused(scene):
                    assert (await message(line)).status == status
                assert await records.everything() == before


def refused(scene: Scene) -> list[tuple[int, Sender]]:
    """(status, what sends it) of requests that are wrong in one way each."""
    sound = scene.vendor.seal(scene.vendor.text("签到"))
    app = AibotVendor(receiver="ww0example").seal(scene.vendor.text("签到"))
    stranger = AibotVendor(token="another").seal(scene.vendor.text("签到"))
    no_json, deep = scene.vendor.seal("<xml/>"), scene.vendor.seal('{"a":' * 50_000)

    def send(query: str, body: bytes) -> Sender:
        return lambda line: line.ask("POST", f"/callback/{CHANNEL}?{query}", body)

    return [
        (403, send(sound.query.replace("nonce=", "nonce=1"), sound.body)),
        (403, send(sound.query.replace("nonce=", "other="), sound.body)),
        (403, send(app.query, app.body)),
        (403, send(stranger.query, stranger.body)),
        (403, send(sound.query, b"{}")),
        (400, send(sound.query, b'<!DOCTYPE x [<!ENTITY a "b">]><xml>&a;</xml>')),
        (400, send(sound.query, b"[" * 100_000)),
        (400, send(no_json.query, no_json.body)),
        (400, send(deep.query, deep.body)),
        (413, send(sound.query, b" " * 1_048_577)),
    ]


async def test_unknown_kinds_and_streams_are_acknowledged(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                for message in (
                    scene.vendor.message(msgtype="hologram"),
                    scene.vendor.event("something_new"),
                    {"msgtype": 7, "from": [], "chatid": {}},
                ):
                    assert await scene.ask(line, message) == {}
                for name in ("", "x", "7-", "9999-" + "a" * 24, "7-" + "a" * 24, "7-" + "a" * 24 + "\n"):
                    shown: Json = await scene.stream(line, scene.vendor.poll(name))
                    assert (shown["finish"], shown["content"]) == (True, ELSEWHERE)


async def test_the_handshake_is_answered_over_http(tmp_path: Path) -> None:
    async with aibot_scene(tmp_path) as scene:
        with scene.deployment.serve() as server:
            async with Line(server.base) as line:
                query = urlencode(scene.vendor.handshake("8124691872645"))
                answer = await line.ask("GET", f"/callback/{CHANNEL}?{query}")
                assert (answer.status, answer.body) == (200, b"8124691872645")
