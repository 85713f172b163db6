"""The API that the bot calls: tokens that end, sends that are refused, and errors on demand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.clock import FixedClock
from bot.errors import RefusedError
from bot.sandbox.courier import Settings
from bot.sandbox.faults import Fault
from bot.sandbox.server import SandboxServer
from tests.sandbox.conftest import ACCOUNT, APP, CHANNELS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.channel import SandboxChannel
    from bot.sandbox.vendor import Sandbox


class Caller:
    """A client that knows no more of the API than its addresses."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        async with self._session.get(f"/cgi-bin/{path}", params=params) as response:
            return dict(await response.json())

    async def post(self, path: str, body: object, **params: str) -> dict[str, Any]:
        async with self._session.post(f"/cgi-bin/{path}", json=body, params=params) as response:
            return dict(await response.json())

    async def app_token(self) -> str:
        answer = await self.get("gettoken", corpid=APP.receiver_id, corpsecret=APP.secret)
        assert (answer["errcode"], answer["expires_in"]) == (0, 7200)
        return str(answer["access_token"])

    async def plain_token(self) -> str:
        answer = await self.get(
            "token", grant_type="client_credential", appid=ACCOUNT.receiver_id, secret=ACCOUNT.secret
        )
        return str(answer["access_token"])

    async def stable_token(self, **more: object) -> dict[str, Any]:
        body = {"grant_type": "client_credential", "appid": ACCOUNT.receiver_id, "secret": ACCOUNT.secret}
        return await self.post("stable_token", {**body, **more})

    async def app_send(self, token: str, **fields: object) -> dict[str, Any]:
        body = {
            "touser": "xiaoming", "msgtype": "text", "agentid": APP.agent_id, "text": {"content": "hi"},
        }  # fmt: skip
        return await self.post("message/send", {**body, **fields}, access_token=token)

    async def custom_send(self, token: str, **fields: object) -> dict[str, Any]:
        body = {"touser": "xiaoming", "msgtype": "text", "text": {"content": "hi"}}
        return await self.post("message/custom/send", {**body, **fields}, access_token=token)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 1, 2, 8, tzinfo=UTC))


@pytest.fixture
async def server(clock: FixedClock) -> AsyncIterator[SandboxServer]:
    async with SandboxServer(CHANNELS, clock=clock) as server:
        yield server


@pytest.fixture
def caller(http: aiohttp.ClientSession) -> Caller:
    return Caller(http)


# ---------------------------------------------------------------- tokens


async def test_wecom_gives_the_same_token_while_it_lives_and_a_new_one_after(
    caller: Caller, clock: FixedClock
) -> None:
    first = await caller.app_token()
    clock.move(timedelta(seconds=7199))
    assert (await caller.get("gettoken", corpid=APP.receiver_id, corpsecret=APP.secret)) == {
        "errcode": 0, "errmsg": "ok", "access_token": first, "expires_in": 1,
    }  # fmt: skip

    clock.move(timedelta(seconds=1))
    assert (await caller.app_send(first))["errcode"] == 42001
    second = await caller.app_token()
    assert second != first
    assert (await caller.app_send(second))["errcode"] == 0


async def test_a_new_account_token_supersedes_the_old_one_after_five_minutes(
    caller: Caller, clock: FixedClock, sandbox: Sandbox
) -> None:
    sandbox.build_callback("oa", "xiaoming", "hi")
    first, second = await caller.plain_token(), await caller.plain_token()
    assert first != second
    assert (await caller.custom_send(first))["errcode"] == 0

    clock.move(timedelta(minutes=5))
    assert (await caller.custom_send(first))["errcode"] == 40001
    assert (await caller.custom_send(second))["errcode"] == 0


async def test_the_stable_token_stays_the_same_until_shortly_before_its_end(
    caller: Caller, clock: FixedClock, sandbox: Sandbox
) -> None:
    sandbox.build_callback("oa", "xiaoming", "hi")
    first = await caller.stable_token()
    await caller.plain_token()
    assert (await caller.stable_token())["access_token"] == first["access_token"]

    clock.move(timedelta(seconds=7200 - 300))
    second = await caller.stable_token()
    assert second["access_token"] != first["access_token"]
    assert (await caller.custom_send(first["access_token"]))["errcode"] == 0, "still alive beside the new one"


async def test_a_forced_stable_token_kills_the_old_one_and_cannot_be_forced_again_at_once(
    caller: Caller, clock: FixedClock
) -> None:
    first = (await caller.stable_token())["access_token"]
    second = (await caller.stable_token(force_refresh=True))["access_token"]
    assert (await caller.custom_send(first))["errcode"] == 40001
    assert (await caller.custom_send(second))["errcode"] == 45015
    assert (await caller.stable_token(force_refresh=True))["errcode"] == 45011

    clock.move(timedelta(seconds=30))
    assert "access_token" in await caller.stable_token(force_refresh=True)


async def test_wrong_ids_and_secrets_are_told_apart(caller: Caller) -> None:
    corp, app = APP.receiver_id, ACCOUNT.receiver_id
    wrong = [
        await caller.get("gettoken", corpid="ww0other", corpsecret=APP.secret),
        await caller.get("gettoken", corpid=corp, corpsecret="other"),
        await caller.get("gettoken"),
        await caller.get("token", grant_type="client_credential", appid="wx0", secret=ACCOUNT.secret),
        await caller.get("token", grant_type="client_credential", appid=app, secret="other"),
        await caller.get("token", appid=app, secret=ACCOUNT.secret),
        await caller.stable_token(secret="other"),
        await caller.stable_token(grant_type=""),
    ]

    codes = [40013, 40001, 40013, 40013, 40125, 40002, 40125, 40002]
    assert [answer["errcode"] for answer in wrong] == codes


async def test_a_channel_without_a_secret_has_no_token() -> None:
    channel = CHANNELS[0].__class__("bare", "wecom_app", "ww0bare", "ww0bare", "t", APP.encoding_aes_key)
    async with (
        SandboxServer([channel]) as server,
        aiohttp.ClientSession(base_url=server.api_base) as session,
    ):
        answer = await Caller(session).get("gettoken", corpid="ww0bare", corpsecret="")

    assert answer["errcode"] == 40001


async def test_missing_foreign_and_withdrawn_tokens_are_told_apart(caller: Caller, sandbox: Sandbox) -> None:
    app, account = await caller.app_token(), await caller.plain_token()
    assert (await caller.post("message/send", {"touser": "a"}))["errcode"] == 41001
    assert (await caller.app_send("made-up"))["errcode"] == 40014
    assert (await caller.app_send(account))["errcode"] == 40014, "the other vendor's token"

    assert sandbox.tokens.withdraw("app") == 1
    assert (await caller.app_send(app))["errcode"] == 40014
    assert (await caller.app_send(await caller.app_token()))["errcode"] == 0, "a new one works"
    assert sandbox.tokens.expire("app") == 2
    assert (await caller.app_send(app))["errcode"] == 40014
    assert await caller.app_token() != app


# ---------------------------------------------------------------- message/send


async def test_an_app_message_reaches_everybody_named_and_names_who_it_did_not(
    caller: Caller, sandbox: Sandbox
) -> None:
    token = await caller.app_token()

    answer = await caller.app_send(token, touser="xiaoming|nobody|ana", toparty="1", totag="2")

    assert (answer["errcode"], answer["invaliduser"]) == (0, "nobody")
    assert (answer["invalidparty"], answer["invalidtag"], bool(answer["msgid"])) == ("1", "2", True)
    for user_id in ("xiaoming", "ana"):
        (entry,) = sandbox.inbox("app", user_id)
        assert (entry.text, entry.route, entry.status) == ("hi", "active", "received")
    assert "nobody" not in sandbox.room("app").chats


async def test_at_all_reaches_everybody_in_the_visible_range(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.build_event("app", "ana", "unsubscribe")

    await caller.app_send(await caller.app_token(), touser="@all")

    reached = [user_id for user_id in sandbox.room("app").chats if sandbox.inbox("app", user_id)]
    assert reached == ["xiaoming", "xiaohong", "aqiang"]


async def test_the_thirty_first_message_of_a_minute_is_dropped_without_a_word(
    caller: Caller, sandbox: Sandbox, clock: FixedClock
) -> None:
    token = await caller.app_token()

    answers = [await caller.app_send(token, text={"content": str(number)}) for number in range(31)]

    assert {answer["errcode"] for answer in answers} == {0}
    assert [entry.text for entry in sandbox.inbox("app", "xiaoming")] == [str(number) for number in range(30)]
    assert sandbox.transcript("app", "xiaoming")[-1].status == "dropped"
    clock.move(timedelta(minutes=1))
    await caller.app_send(token)
    assert len(sandbox.inbox("app", "xiaoming")) == 31


async def test_a_long_app_text_is_cut_and_flagged(caller: Caller, sandbox: Sandbox) -> None:
    token = await caller.app_token()

    await caller.app_send(token, text={"content": "满" * 683})
    await caller.app_send(token, text={"content": "x" * 2048})

    cut, whole = sandbox.inbox("app", "xiaoming")
    assert (cut.text, cut.truncated) == ("满" * 682, True)
    assert (whole.text, whole.truncated) == ("x" * 2048, False)


async def test_a_repeated_message_is_dropped_only_where_the_check_was_asked_for(
    caller: Caller, sandbox: Sandbox, clock: FixedClock
) -> None:
    token = await caller.app_token()
    check = {"enable_duplicate_check": 1, "duplicate_check_interval": 60}

    await caller.app_send(token)
    await caller.app_send(token)
    assert len(sandbox.inbox("app", "xiaoming")) == 2
    await caller.app_send(token, **check)
    await caller.app_send(token, **check)
    assert len(sandbox.inbox("app", "xiaoming")) == 3
    assert sandbox.transcript("app", "xiaoming")[-1].status == "duplicate"
    clock.move(timedelta(seconds=60))
    await caller.app_send(token, **check)
    assert len(sandbox.inbox("app", "xiaoming")) == 4


@pytest.mark.parametrize(
    ("fields", "errcode"),
    [
        ({"agentid": 1}, 40056),
        ({"agentid": "1000007"}, 40056),
        ({"touser": "nobody|ghost"}, 81013),
        ({"touser": "", "toparty": "7"}, 81013),
        ({"touser": ""}, 40058),
        ({"touser": ["xiaoming"]}, 40058),
        ({"touser": "|".join(f"u{number}" for number in range(1001))}, 40058),
        ({"msgtype": "hologram"}, 40008),
        ({"msgtype": ["text"]}, 40008),
        ({"msgtype": "image"}, 40058),
        ({"msgtype": "image", "image": {"x": 1}}, 40007),
        ({"text": {"content": ""}}, 44004),
    ],
)
async def test_what_wecom_refuses_reaches_nobody(
    fields: dict[str, object], errcode: int, caller: Caller, sandbox: Sandbox
) -> None:
    answer = await caller.app_send(await caller.app_token(), **fields)

    assert answer["errcode"] == errcode
    assert sandbox.inbox("app", "xiaoming") == ()


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("image", {"media_id": "MEDIA-image"}, "[图片 image] MEDIA-image"),
        ("news", {"articles": [{"title": "一"}, {"title": "二"}]}, "[图文 news] 一 二"),
        ("textcard", {"title": "卡", "description": "d", "url": "u"}, "[卡片 card] 卡"),
        ("markdown", {"content": "**粗**"}, "**粗**"),
    ],
)
async def test_other_kinds_of_message_are_kept_with_their_fields(
    kind: str, body: dict[str, Any], text: str, caller: Caller, sandbox: Sandbox
) -> None:
    assert (await caller.app_send(await caller.app_token(), msgtype=kind, **{kind: body}))["errcode"] == 0

    (entry,) = sandbox.inbox("app", "xiaoming")
    assert (entry.kind, entry.text, entry.fields) == (kind, text, body)


# ---------------------------------------------------------------- message/custom/send


async def test_five_messages_follow_a_users_message_and_the_window_closes_after_48_hours(
    caller: Caller, sandbox: Sandbox, clock: FixedClock
) -> None:
    token = (await caller.stable_token())["access_token"]
    assert (await caller.custom_send(token))["errcode"] == 45015, "nothing was ever said"

    sandbox.build_callback("oa", "xiaoming", "hi")
    codes = [(await caller.custom_send(token))["errcode"] for _ in range(6)]
    assert codes == [0, 0, 0, 0, 0, 45047]
    sandbox.build_callback("oa", "xiaoming", "again")
    assert (await caller.custom_send(token))["errcode"] == 0
    assert len(sandbox.inbox("oa", "xiaoming")) == 6

    clock.move(timedelta(hours=48))
    token = (await caller.stable_token())["access_token"]
    assert (await caller.custom_send(token))["errcode"] == 45015


@pytest.mark.parametrize("event", ["subscribe", "SCAN", "CLICK"])
async def test_an_action_allows_three_messages_within_a_minute(
    event: str, caller: Caller, sandbox: Sandbox, clock: FixedClock
) -> None:
    token = await caller.plain_token()
    sandbox.build_event("oa", "xiaoming", event)

    codes = [(await caller.custom_send(token))["errcode"] for _ in range(4)]

    assert codes == [0, 0, 0, 45047]
    clock.move(timedelta(minutes=1))
    assert (await caller.custom_send(token))["errcode"] == 45015


async def test_who_left_can_no_longer_be_reached(caller: Caller, sandbox: Sandbox) -> None:
    token = await caller.plain_token()
    sandbox.build_callback("oa", "xiaoming", "hi")
    sandbox.build_event("oa", "xiaoming", "unsubscribe")
    assert (await caller.custom_send(token))["errcode"] == 43004

    sandbox.build_event("oa", "xiaoming", "subscribe")
    assert (await caller.custom_send(token))["errcode"] == 0


@pytest.mark.parametrize(
    ("fields", "errcode"),
    [
        ({"touser": "nobody"}, 40003),
        ({"touser": ["xiaoming"]}, 40003),
        ({"text": {"content": "x" * 2049}}, 45002),
        ({"text": {"content": ""}}, 44004),
        ({"msgtype": "markdown", "markdown": {"content": "x"}}, 40008),
        ({"msgtype": "image", "image": {"media_id": ""}}, 40007),
        ({"msgtype": "news"}, 40035),
    ],
)
async def test_what_the_account_refuses_uses_nothing_up(
    fields: dict[str, object], errcode: int, caller: Caller, sandbox: Sandbox
) -> None:
    token = await caller.plain_token()
    sandbox.build_callback("oa", "xiaoming", "hi")

    assert (await caller.custom_send(token, **fields))["errcode"] == errcode

    codes = [(await caller.custom_send(token))["errcode"] for _ in range(6)]
    assert codes == [0, 0, 0, 0, 0, 45047]


async def test_followers_are_listed(caller: Caller, sandbox: Sandbox) -> None:
    token = await caller.plain_token()
    sandbox.build_event("oa", "xiaohong", "unsubscribe")

    first = await caller.get("user/get", access_token=token)
    rest = await caller.get("user/get", access_token=token, next_openid="xiaoming")

    assert (first["total"], first["data"]["openid"]) == (3, ["ana", "xiaoming", "aqiang"])
    assert (rest["count"], rest["data"]["openid"]) == (1, ["aqiang"])


# ---------------------------------------------------------------- the wire


async def test_bad_requests_get_the_vendors_codes(caller: Caller, http: aiohttp.ClientSession) -> None:
    async def code(method: str, path: str, data: bytes | None = None) -> int:
        async with http.request(method, f"/cgi-bin/{path}", data=data) as response:
            return int((await response.json())["errcode"])

    token = await caller.app_token()
    assert await code("GET", "message/unheard/of") == 40066
    assert await code("POST", "gettoken", b"{}") == 43001
    assert await code("GET", f"message/send?access_token={token}") == 43002
    assert await code("POST", f"message/send?access_token={token}", b"") == 44002
    assert await code("POST", f"message/send?access_token={token}", b"{") == 47001
    assert await code("POST", f"message/send?access_token={token}", b"[]") == 47001


async def test_two_apps_of_one_company_have_their_own_tokens() -> None:
    other = APP.__class__(
        "shop", "wecom_app", APP.receiver_id, APP.account_id, "t", APP.encoding_aes_key, "shop-secret", 7
    )
    async with (
        SandboxServer([APP, other]) as server,
        aiohttp.ClientSession(base_url=server.api_base) as session,
    ):
        caller = Caller(session)
        answer = await caller.get("gettoken", corpid=APP.receiver_id, corpsecret="shop-secret")
        sent = await caller.app_send(answer["access_token"], agentid=7)
        refused = await caller.app_send(await caller.app_token(), agentid=7)
        inbox = server.sandbox.inbox("shop", "xiaoming")

    assert (sent["errcode"], refused["errcode"], len(inbox)) == (0, 40056, 1)


# ---------------------------------------------------------------- errors on demand


async def test_an_error_code_on_demand_comes_as_often_as_asked_and_does_nothing(
    caller: Caller, sandbox: Sandbox
) -> None:
    token = await caller.app_token()
    sandbox.faults.add(Fault("app", "message/send", errcode=45009, times=2))

    codes = [(await caller.app_send(token))["errcode"] for _ in range(3)]

    assert codes == [45009, 45009, 0]
    assert len(sandbox.inbox("app", "xiaoming")) == 1
    assert sandbox.faults.waiting() == ()


async def test_a_fault_of_another_channel_or_endpoint_waits(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("oa", "", errcode=-1))
    sandbox.faults.add(Fault("", "message/send", errcode=-1, times=0))

    token = await caller.app_token()
    assert [(await caller.app_send(token))["errcode"] for _ in range(3)] == [-1, -1, -1]

    assert len(sandbox.faults.waiting()) == 2
    sandbox.faults.clear()
    assert (await caller.app_send(token))["errcode"] == 0


async def test_a_fault_may_strike_after_the_act(
    caller: Caller, sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    token = await caller.app_token()
    sandbox.faults.add(Fault("app", "message/send", drop=True, acted=True))
    sandbox.faults.add(Fault("app", "message/send", drop=True))

    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await http.post(f"/cgi-bin/message/send?access_token={token}", json={
                "touser": "xiaoming", "msgtype": "text", "agentid": APP.agent_id, "text": {"content": "hi"},
            })  # fmt: skip

    assert len(sandbox.inbox("app", "xiaoming")) == 1


async def test_statuses_broken_json_and_delays_come_on_demand(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    sandbox.faults.add(Fault(endpoint="gettoken", http_status=502))
    sandbox.faults.add(Fault(endpoint="gettoken", broken_json=True))
    sandbox.faults.add(Fault(endpoint="gettoken", delay_s=0.5))
    address = f"/cgi-bin/gettoken?corpid={APP.receiver_id}&corpsecret={APP.secret}"

    async with http.get(address) as away:
        assert (away.status, away.content_type) == (502, "text/html")
    async with http.get(address) as broken:
        assert (broken.status, await broken.text()) == (200, '{"errcode":0,"errmsg":')
    with pytest.raises(TimeoutError):
        await http.get(address, timeout=aiohttp.ClientTimeout(total=0.1))
    async with http.get(address) as well:
        assert (await well.json())["errcode"] == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(),
        Fault(errcode=1, http_status=500),
        Fault(drop=True, broken_json=True),
        Fault(errcode=1, times=-1),
        Fault(errcode=1, delay_s=-1),
    ],
)
def test_a_fault_that_says_nothing_or_too_much_is_refused(fault: Fault, sandbox: Sandbox) -> None:
    with pytest.raises(RefusedError):
        sandbox.faults.add(fault)


async def test_short_lived_tokens_are_a_setting() -> None:
    clock = FixedClock(datetime(2026, 1, 2, tzinfo=UTC))
    settings = Settings(token_lifetime_s=10, token_grace_s=0)
    channels: tuple[SandboxChannel, ...] = (ACCOUNT,)
    async with (
        SandboxServer(channels, clock=clock, settings=settings) as server,
        aiohttp.ClientSession(base_url=server.api_base) as session,
    ):
        caller = Caller(session)
        first = await caller.plain_token()
        await caller.plain_token()
        assert (await caller.custom_send(first))["errcode"] == 40001
        clock.move(timedelta(seconds=10))
        assert (await caller.custom_send(first))["errcode"] == 42001
