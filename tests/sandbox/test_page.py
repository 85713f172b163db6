"""The page's JSON interface, its event stream, and who may not come in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import xmltodict
from aiohttp import web

from bot.errors import RefusedError
from bot.sandbox.remote import RemoteSandbox
from bot.sandbox.server import SandboxServer, mount_sandbox
from bot.sandbox.vendor import Sandbox
from tests.sandbox.conftest import APP, CHANNELS
from tests.sandbox.echo_bot import HANG, EchoBot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def remote(server: SandboxServer) -> AsyncIterator[RemoteSandbox]:
    async with RemoteSandbox(server.api_base) as remote:
        yield remote


async def test_a_sandbox_in_another_process_is_spoken_through_like_one_at_hand(
    remote: RemoteSandbox, sandbox: Sandbox, bot: EchoBot
) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)

    said = await remote.say("app", "xiaoming", "签到", at=at, msg_id=7)
    picture = await remote.message("oa", "xiaoming", "image", MediaId="M9")
    followed = await remote.event("oa", "xiaohong", "subscribe")

    assert (said.status, said.text) == ("answered", "echo: 签到")
    assert (picture.text, followed.text) == ("echo: image", "echo: event")
    fields = [xmltodict.parse(delivery.plaintext)["xml"] for delivery in bot.deliveries]
    assert (fields[0]["CreateTime"], fields[0]["MsgId"]) == (str(int(at.timestamp())), "7")
    assert (fields[1]["MediaId"], fields[2]["Event"]) == ("M9", "subscribe")
    assert await remote.transcript("app", "xiaoming") == sandbox.transcript("app", "xiaoming")
    assert (await remote.verify("app")).passed


async def test_the_state_counts_calls_errors_and_outcomes(
    remote: RemoteSandbox, http: aiohttp.ClientSession, bot: EchoBot
) -> None:
    await remote.say("app", "xiaoming", "hi")
    bot.behaviours = [503]
    await remote.say("app", "xiaoming", "hi")
    await remote.add_fault(channel="app", endpoint="gettoken", errcode=-1)
    for _ in range(2):
        await http.get(f"/cgi-bin/gettoken?corpid={APP.receiver_id}&corpsecret={APP.secret}")

    (app, *_) = (await remote.state())["channels"]

    assert (app["name"], app["kind"]) == ("app", "wecom_app")
    assert app["calls"] == {"gettoken": 2}
    assert app["errcodes"] == {"gettoken": {"-1": 1, "0": 1}}
    assert app["outcomes"] == {"answered": 2, "repeats": 1}
    assert {"id": "xiaoming", "name": "小明", "follows": True} in app["members"]


async def test_faults_and_tokens_are_controlled_from_outside(
    remote: RemoteSandbox, http: aiohttp.ClientSession
) -> None:
    await remote.add_fault(errcode=45009, times=0)
    assert [fault["errcode"] for fault in (await remote.state())["faults"]] == [45009]
    await remote.clear_faults()
    assert (await remote.state())["faults"] == []

    address = f"/cgi-bin/gettoken?corpid={APP.receiver_id}&corpsecret={APP.secret}"
    token = (await (await http.get(address)).json())["access_token"]
    await remote.spoil_tokens("app", "expire")
    answer = await http.post(f"/cgi-bin/message/send?access_token={token}", json={})
    assert (await answer.json())["errcode"] == 42001
    with pytest.raises(RefusedError, match="withdraw or expire"):
        await remote.spoil_tokens("app", "burn")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("say", {"channel": "nobody", "user_id": "a", "text": "x"}, 422),
        ("say", {"channel": "app", "user_id": " ", "text": "x"}, 422),
        ("say", {"channel": "app", "user_id": "a", "txet": "x"}, 422),
        ("say", {"channel": "app", "user_id": "a", "text": "x", "fields": []}, 422),
        ("say", {"channel": "app", "user_id": "a", "text": "x", "at_ms": "soon", "wait": True}, 422),
        ("event", {"channel": "app", "user_id": "a"}, 422),
        ("faults", {"channel": "nobody", "errcode": 1}, 422),
        ("faults", {"error": 1}, 422),
        ("verify", {"channel": "nobody"}, 422),
        ("members", [1], 400),
        ("say", {"channel": "app", "user_id": "a", "text": "x", "group": "nowhere"}, 422),
        ("click", {"entry": 999_999, "button_key": "go"}, 422),
        ("click", {"entry": 1, "selections": {"q": "a"}}, 422),
        ("feedback", {"entry": 999_999}, 422),
        ("groups", {"channel": "app", "name": "", "members": ["ana"]}, 422),
        ("groups", {"channel": "app", "name": "小分队", "members": []}, 422),
        ("groups", {"channel": "oa", "name": "小分队", "members": ["ana"]}, 422),
        ("faults", {"channel": "app", "name": "callback_doubeld"}, 422),
        ("faults", {"channel": "app", "name": "kick"}, 422),
        ("clock", {"by": 3600}, 422),
    ],
)
async def test_requests_that_mean_nothing_are_refused_with_the_reason(
    path: str, body: object, status: int, http: aiohttp.ClientSession
) -> None:
    async with http.post(f"/sandbox/api/{path}", json=body) as response:
        problem = await response.json(content_type="application/problem+json")

    assert (response.status, problem["status"], bool(problem["title"])) == (status, status, True)


async def test_what_is_not_json_is_refused(http: aiohttp.ClientSession) -> None:
    form = await http.post("/sandbox/api/say", data={"channel": "app"})
    broken = await http.post("/sandbox/api/say", data=b"{", headers={"Content-Type": "application/json"})
    unknown = await http.get("/sandbox/api/transcript?channel=nobody&user_id=a")

    assert (form.status, broken.status, unknown.status) == (415, 400, 404)


async def test_the_page_and_its_files_come_with_a_strict_policy(http: aiohttp.ClientSession) -> None:
    for path, kind in (
        ("", "text/html"),
        ("static/chat.js", "text/javascript"),
        ("static/chat.css", "text/css"),
    ):
        async with http.get(f"/sandbox/{path}") as response:
            text = await response.text()
            policy = response.headers["Content-Security-Policy"]
        assert (response.status, response.content_type) == (200, kind)
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
    assert (await http.get("/sandbox/static/../vendor.py")).status == 404
    redirect = await http.get("/sandbox", allow_redirects=False)
    assert (redirect.status, redirect.headers["Location"]) == (308, "/sandbox/")


async def test_the_stream_tells_everything_known_and_then_every_change(
    remote: RemoteSandbox, sandbox: Sandbox
) -> None:
    await sandbox.say("app", "xiaoming", "before")

    async with asyncio.timeout(5):
        seen: list[tuple[str, dict[str, Any]]] = []
        async for event, data in remote.changes():
            seen.append((event, data))
            if event == "snapshot":
                sandbox.start_message("app", "newcomer", "text", {"Content": "hi"})
            if event == "entry" and data["route"] == "passive":
                break

    app = seen[0][1]["channels"][0]
    assert [entry["text"] for entry in app["entries"]] == ["before", "echo: before"]
    assert seen[1] == ("member", {"channel": "app", "member": {
        "id": "newcomer", "name": "newcomer", "letter": "r", "colour": 4,
    }})  # fmt: skip
    changes = [(data["status"], data["text"]) for _, data in seen[2:]]
    assert changes == [("sending", "hi"), ("answered", "hi"), ("received", "echo: hi")]


async def test_a_stopping_server_ends_its_streams(bot: EchoBot) -> None:
    async with (
        SandboxServer(CHANNELS, callback_base=bot.base) as server,
        RemoteSandbox(server.api_base) as remote,
    ):
        stream = remote.changes()
        await anext(stream)
        stopping = asyncio.create_task(server.__aexit__())
        async with asyncio.timeout(5):
            assert [change async for change in stream] == []
            await stopping


async def test_a_message_under_way_does_not_hold_up_the_end(bot: EchoBot) -> None:
    bot.behaviours = [HANG] * 4
    async with asyncio.timeout(5), SandboxServer(CHANNELS, callback_base=bot.base) as server:
        server.sandbox.start_message("app", "xiaoming", "text", {"Content": "hi"})


async def test_a_member_is_added_and_renamed(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    body = {"channel": "app", "user_id": "lili", "name": "丽丽"}
    added = await http.post("/sandbox/api/members", json=body)
    await http.post("/sandbox/api/members", json={**body, "name": "莉莉"})

    assert (added.status, (await added.json())["member"]["letter"]) == (201, "丽")
    assert sandbox.room("app").chats["lili"].person.name == "莉莉"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/sandbox/api/state", "/sandbox/", "/cgi-bin/gettoken"])
async def test_who_is_not_on_this_machine_may_not_come_in(
    headers: dict[str, str], path: str, http: aiohttp.ClientSession
) -> None:
    assert (await http.get(path, headers=headers)).status == 403


async def test_remote_peers_come_in_only_where_allowed_but_other_origins_never(bot: EchoBot) -> None:
    async with (
        SandboxServer(CHANNELS, callback_base=bot.base, allow_remote=True) as server,
        aiohttp.ClientSession(base_url=server.api_base) as http,
    ):
        shown = await http.get(
            "/sandbox/", headers={"Host": "demo.example", "X-Forwarded-For": "203.0.113.9"}
        )
        own = await http.get("/sandbox/", headers={"Host": "demo.example", "Origin": "https://demo.example"})
        foreign = await http.get("/sandbox/", headers={"Origin": "http://evil.example"})

    assert (shown.status, own.status, foreign.status) == (200, 200, 403)


async def test_it_lives_inside_an_application_beside_other_routes(bot: EchoBot) -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/healthz", hello)
    sandbox = Sandbox([APP], callback_base=bot.base)
    mount_sandbox(app, sandbox)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with RemoteSandbox(base) as remote, aiohttp.ClientSession(base) as http:
            assert (await remote.say("app", "xiaoming", "hi")).text == "echo: hi"
            assert await (await http.get("/healthz")).text() == "hello"
    finally:
        await runner.cleanup()


async def test_active_sends_are_waited_for_without_sleeping(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(TimeoutError):
        await sandbox.wait_for_inbox("app", "xiaoming", timeout_s=0.01)
    waiting = asyncio.create_task(sandbox.wait_for_inbox("app", "xiaoming", count=2))
    token, _ = sandbox.tokens.app_token("app")
    for text in ("one", "two"):
        await http.post(f"/cgi-bin/message/send?access_token={token}", json={
            "touser": "xiaoming", "msgtype": "text", "agentid": APP.agent_id, "text": {"content": text},
        })  # fmt: skip

    assert [entry.text for entry in await waiting] == ["one", "two"]


async def test_a_server_that_is_away_is_named(server: SandboxServer) -> None:
    async with RemoteSandbox("http://127.0.0.1:9") as remote:
        with pytest.raises(RefusedError, match=r"http://127\.0\.0\.1:9"):
            await remote.state()
    async with RemoteSandbox(f"{server.api_base}/elsewhere") as remote:
        with pytest.raises(RefusedError, match="HTTP 404"):
            await remote.state()


async def test_a_group_is_made_and_changed_and_the_page_is_told(
    http: aiohttp.ClientSession, remote: RemoteSandbox, sandbox: Sandbox
) -> None:
    async with asyncio.timeout(5):
        stream = remote.changes()
        await anext(stream)
        body = {"channel": "app", "name": "小分队", "members": ["xiaoming", "ana", "ana"]}
        made = await (await http.post("/sandbox/api/groups", json=body)).json()
        told = await anext(stream)
        group_id = made["group"]["id"]
        changed = {**body, "group": group_id, "name": "大队", "members": ["ana"]}
        await http.post("/sandbox/api/groups", json=changed)

    assert told == ("group", {"channel": "app", "group": made["group"]})
    assert (made["group"]["members"], made["group"]["owner"]) == (["xiaoming", "ana"], "xiaoming")
    group = sandbox.room("app").group(group_id).group
    assert (group.name, group.members, group.owner) == ("大队", ("ana",), "ana")


async def test_the_platforms_clock_is_moved_and_set_right(
    http: aiohttp.ClientSession, remote: RemoteSandbox, bot: EchoBot
) -> None:
    async def created_s() -> int:
        await remote.say("app", "ana", "hi")
        return int(xmltodict.parse(bot.deliveries[-1].plaintext)["xml"]["CreateTime"])

    now_s = await created_s()
    moved = await (await http.post("/sandbox/api/clock", json={"by_s": 86_400})).json()
    tomorrow_s = await created_s()
    await http.post("/sandbox/api/clock", json={"by_s": -3600, "stamps": False})
    assert (await remote.state())["clock_offset_ms"] == 82_800_000
    await http.post("/sandbox/api/clock", json={"reset": True})
    again_s = await created_s()

    assert moved == {"clock_offset_ms": 86_400_000}
    assert 86_400 <= tomorrow_s - now_s < 86_500
    assert 0 <= again_s - now_s < 100
    assert (await remote.state())["clock_offset_ms"] == 0


async def test_an_uploaded_picture_is_shown_and_nothing_else(
    http: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    def line(blob: bytes) -> int:
        now_ms = sandbox.clock.now_ms()
        media_id = sandbox.media.upload("app", "image", "a", blob, now_ms)
        fields = {"media_id": media_id}
        entry = sandbox.room("app").write(
            "ana", "bot", "active", at_ms=now_ms, kind="image", text="[图片]", fields=fields
        )
        return entry.id

    png, script = line(b"\x89PNG\r\n\x1a\n"), line(b"<script>alert(1)</script>")
    shown = await http.get(f"/sandbox/api/picture?entry={png}")
    page = await http.get(f"/sandbox/api/picture?entry={script}")
    none = await http.get("/sandbox/api/picture?entry=999999")
    junk = await http.get("/sandbox/api/picture?entry=x")

    assert (shown.status, shown.content_type) == (200, "image/png")
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert (page.status, none.status, junk.status) == (404, 404, 404)
