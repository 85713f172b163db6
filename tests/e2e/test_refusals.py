"""Whatever is not a platform's callback gets its status, has no effect, and never causes a 5xx."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.sandbox.channel import SandboxChannel
from bot.sandbox.wire import Callback
from tests.e2e.conftest import Running
from tests.e2e.deployments import APP, COMPATIBLE, OA, PLAIN
from tests.e2e.forgery import forge, inner_xml
from tests.e2e.lines import Answer, Line, chunked
from tests.e2e.records import Records

ENTITIES = '<!DOCTYPE xml [<!ENTITY a "签到"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE xml SYSTEM "file:///etc/passwd">'
SHELL = "<xml><ToUserName>{to}</ToUserName><Encrypt>{encrypt}</Encrypt></xml>"
TWO_MIB = 2 << 20

Forgery = Callable[[SandboxChannel], Callback]


def checked_in(account: SandboxChannel) -> str:
    return inner_xml(account, "mallory")


def big(account: SandboxChannel) -> Callback:
    return forge(account, inner_xml(account, Description="x" * TWO_MIB))


FORGERIES: dict[str, tuple[int, Forgery]] = {
    "signed with another token": (403, lambda a: forge(a, checked_in(a), token="another")),
    "wrong receiver": (403, lambda a: forge(a, checked_in(a), receiver="ww9999999999999999")),
    "no receiver": (403, lambda a: forge(a, checked_in(a), receiver="")),
    "receiver of another case": (403, lambda a: forge(a, checked_in(a), receiver=a.receiver_id.upper())),
    "truncated base64": (400, lambda a: forge(a, checked_in(a), cut=1)),
    "base64 cut to a part of a block": (400, lambda a: forge(a, checked_in(a), cut=8)),
    "nothing encrypted": (403, lambda a: forge(a, checked_in(a), cut=10**6)),
    "padding of zero": (400, lambda a: forge(a, checked_in(a), padding=bytes)),
    "padding too long": (
        400,
        lambda a: forge(a, checked_in(a), padding=lambda n: bytes([n + 16]) * (n + 16)),
    ),
    "padding not uniform": (
        400,
        lambda a: forge(a, checked_in(a), padding=lambda n: b"\x01" * (n - 1) + bytes([n])),
    ),
    "DTD outside": (400, lambda a: forge(a, checked_in(a), envelope=OUTSIDE + SHELL)),
    "DTD inside": (400, lambda a: forge(a, OUTSIDE + checked_in(a))),
    "entities outside": (400, lambda a: forge(a, checked_in(a), envelope=ENTITIES + SHELL)),
    "entities inside": (400, lambda a: forge(a, ENTITIES + inner_xml(a, Content="&b;"))),
    "undeclared entity inside": (400, lambda a: forge(a, inner_xml(a, Content="&b;"))),
    "not XML outside": (400, lambda a: forge(a, checked_in(a), envelope="Encrypt={encrypt}")),
    "not XML inside": (400, lambda a: forge(a, "签到")),
    "another root inside": (400, lambda a: forge(a, checked_in(a).replace("xml>", "svg>"))),
    "cut XML inside": (400, lambda a: forge(a, checked_in(a)[:-6])),
    "invalid UTF-8 inside": (400, lambda a: forge(a, checked_in(a).encode("gbk"))),
    "UTF-16 inside": (400, lambda a: forge(a, checked_in(a).encode("utf-16"))),
    "nested too deeply": (400, lambda a: forge(a, inner_xml(a, Deep="<a>" * 2000 + "</a>" * 2000))),
    "two encrypted elements": (
        400,
        lambda a: forge(a, checked_in(a), envelope=SHELL.replace("</xml>", "<Encrypt>QQ==</Encrypt></xml>")),
    ),
    "query without nonce": (403, lambda a: forge(a, checked_in(a), drop="nonce")),
    "query without timestamp": (403, lambda a: forge(a, checked_in(a), drop="timestamp")),
    "query without signature": (403, lambda a: forge(a, checked_in(a), drop="msg_signature")),
    "query empty": (403, lambda a: replace(forge(a, checked_in(a)), query="")),
    "query not UTF-8": (403, lambda a: replace(forge(a, checked_in(a)), query="nonce=%ff&timestamp=%ff")),
    "query field twice": (403, lambda a: _with_query(forge(a, checked_in(a)), "&nonce=1")),
    "body empty": (400, lambda a: replace(forge(a, checked_in(a)), body=b"")),
    "body of nothing but zeros": (400, lambda a: replace(forge(a, checked_in(a)), body=bytes(1000))),
    "body in clear": (403, lambda a: replace(forge(a, checked_in(a)), body=checked_in(a).encode())),
    "2 MiB": (413, big),
}


def _with_query(callback: Callback, more: str) -> Callback:
    return replace(callback, query=callback.query + more)


@pytest.mark.parametrize("account", [APP, OA, COMPATIBLE], ids=lambda account: account.name)
@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_callback_gets_its_status_and_changes_nothing(
    single: Running, records: Records, account: SandboxChannel, name: str
) -> None:
    status, forgery = FORGERIES[name]
    before = await records.everything()
    async with Line(single.server.base) as line:
        answer = await line.post(account.name, forgery(account))
    assert answer.status == status, answer.body[:200]
    assert await records.everything() == before


PLAIN_FORGERIES: dict[str, tuple[int, Forgery]] = {
    "signed with another token": (403, lambda a: forge(a, checked_in(a), token="another")),
    "meant for another account": (403, lambda a: forge(a, inner_xml(a, ToUserName="gh_another"))),
    "DTD": (400, lambda a: forge(a, OUTSIDE + checked_in(a))),
    "entities": (400, lambda a: forge(a, ENTITIES + inner_xml(a, Content="&b;"))),
    "invalid UTF-8": (400, lambda a: forge(a, checked_in(a).encode("gbk"))),
    "query without nonce": (403, lambda a: forge(a, checked_in(a), drop="nonce")),
    "query without signature": (403, lambda a: forge(a, checked_in(a), drop="signature")),
    "body empty": (400, lambda a: forge(a, "")),
    "2 MiB": (413, big),
}


@pytest.mark.parametrize("name", PLAIN_FORGERIES)
async def test_a_forged_callback_in_plain_mode_gets_its_status_and_changes_nothing(
    single: Running, records: Records, name: str
) -> None:
    status, forgery = PLAIN_FORGERIES[name]
    before = await records.everything()
    async with Line(single.server.base) as line:
        answer = await line.post("plain", forgery(PLAIN))
    assert answer.status == status, answer.body[:200]
    assert await records.everything() == before


async def test_a_good_callback_does_change_what_the_other_tests_compare(
    single: Running, records: Records
) -> None:
    before = await records.everything()
    async with Line(single.server.base) as line:
        assert (await line.post("app", forge(APP, inner_xml(APP, "control")))).status == 200
    after = await records.everything()
    for table in ("ledger", "check_ins", "activity", "members"):
        assert after[table] != before[table]
    assert after.keys() > before.keys()


async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(
    single: Running, records: Records
) -> None:
    """Its end never comes: a server that reads on, up to some larger limit, does not answer."""
    before = await records.everything()
    callback = big(APP)
    framed = chunked(callback.body)[: 3 << 19]
    async with Line(single.server.base) as line:
        await line.send("POST", f"/callback/app?{callback.query}", framed, {"Transfer-Encoding": "chunked"})
        assert (await line.receive(2.0)).status == 413
    assert await records.everything() == before


async def test_a_body_in_chunks_of_a_legal_size_is_taken(single: Running) -> None:
    callback = forge(APP, inner_xml(APP, "chunker"))
    async with Line(single.server.base) as line:
        answer = await line.ask(
            "POST",
            f"/callback/app?{callback.query}",
            chunked(callback.body, 100),
            {"Transfer-Encoding": "chunked"},
        )
    assert answer.status == 200
    assert answer.body


@pytest.mark.parametrize(
    ("method", "target", "headers", "statuses"),
    [
        ("POST", "/callback/nobody?nonce=1", {}, {404}),
        ("GET", "/callback/nobody", {}, {404}),
        ("POST", "/callback/", {}, {404}),
        ("POST", "/callback", {}, {404}),
        ("POST", "/callback/app/more", {}, {404}),
        ("POST", "/callback/%FF%FE?nonce=1", {}, {400, 404}),
        ("POST", "/callback/..%2Fapi%2Fv1%2Fstatus", {}, {404}),
        ("PUT", "/callback/app", {}, {404, 405}),
        ("DELETE", "/callback/app", {}, {404, 405}),
        ("GET", "/callback/app", {}, {403}),
        ("GET", "/callback/oa", {}, {403}),
        ("GET", "/callback/app?" + "a=1&" * 1500, {}, {400, 403, 414}),
        ("POST", "/callback/app", {"X-Huge": "x" * 100_000}, {400, 431}),
        ("POST", "/callback/app", {"Content-Length": "-1"}, {400}),
        ("POST", "/callback/app", {"Content-Length": "9" * 30}, {400, 413}),
        ("POST", "/callback/app", {"Content-Type": "multipart/form-data; boundary="}, {400, 403}),
        ("POST", "/callback/app", {"Content-Encoding": "gzip"}, {400, 403}),
        ("BREW", "/callback/app", {}, {400, 404, 405}),
    ],
)
async def test_an_odd_request_is_refused_and_the_server_goes_on(
    single: Running, method: str, target: str, headers: dict[str, str], statuses: set[int]
) -> None:
    async with Line(single.server.base) as line:
        answer = await line.ask(method, target, b"", headers)
    assert answer.status in statuses, answer
    async with Line(single.server.base) as line:
        assert (await line.ask("GET", "/healthz")).status == 200


async def test_a_body_that_never_ends_holds_nobody_up(single: Running) -> None:
    """The rest of the body is awaited no longer than an answer may take; others are answered meanwhile."""
    callback = forge(APP, inner_xml(APP, "dawdler"))
    async with Line(single.server.base) as slow, Line(single.server.base) as other:
        headers = {"Content-Length": str(len(callback.body))}
        await slow.send("POST", f"/callback/app?{callback.query}", callback.body[:-1], headers)
        assert (await other.post("app", forge(APP, inner_xml(APP, "brisk")))).status == 200
        assert (await slow.receive(8.0)).status == 400


# ---------------------------------------------------------------- signed, and odd inside

ODD_TIMES = ["0", "-1", "-99999999999999999999", "1000000000000000000", "9999999999", "10000000000"]
ODD_TIMES += ["abc", "1e400", "nan", "inf", "12.5", "１２３", " 1790000000 ", "0x10", ""]


@pytest.mark.parametrize("account", [APP, OA, PLAIN], ids=lambda account: account.name)
async def test_an_absurd_time_is_no_reason_to_fail(
    single: Running, records: Records, account: SandboxChannel
) -> None:
    async with Line(single.server.base) as line:
        for place, created in enumerate(ODD_TIMES):
            odd = forge(account, inner_xml(account, f"timeless{place}", CreateTime=created))
            answer = await line.post(account.name, odd)
            assert answer.status == 200, created
            await _is_alive(line, account)
    await records.until_drained()
    for place, created in enumerate(ODD_TIMES):
        drained = await records.drained(member=f"{account.name}:timeless{place}")
        assert [reason for reason, _ in drained.deltas] == ["check_in"], created
        assert drained.messages == 1, created


async def _is_alive(line: Line, account: SandboxChannel) -> None:
    answer = await line.post(account.name, forge(account, inner_xml(account, "alive", "帮助")))
    assert answer.status == 200
    assert answer.body


words = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
    st.sampled_from(
        [
            "签到",
            "积分",
            "明细 99999999999999999999",
            "加分 a 1",
            "关键词 a=b",
            "排行 今日",
            "补签",
            "日历",
            "\0",
            "]]>",
            "{name}",
        ]
    ),
)
numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str), st.floats().map(str), st.sampled_from(["", "0", "abc", "１"])
)
ids = st.one_of(
    st.text(max_size=8), st.sampled_from(["", ":", "a:b", "x" * 600, " ", "{s01}", "-", "\n", "*", "é" * 300])
)
kinds = st.sampled_from(
    ["text", "TEXT", "event", "image", "voice", "video", "location", "link", "file", "", "stream", "x" * 5000]
)
events = st.sampled_from(
    [
        "subscribe",
        "unsubscribe",
        "enter_agent",
        "CLICK",
        "VIEW",
        "LOCATION",
        "SCAN",
        "scancode_push",
        "",
        "nonsense",
    ]
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """An XML message of the right shape with odd values, or with elements missing, doubled and nested."""
    elements = {
        "ToUserName": draw(ids),
        "FromUserName": draw(ids),
        "CreateTime": draw(numbers),
        "MsgType": draw(kinds),
        "Event": draw(events),
        "EventKey": draw(ids),
        "Content": draw(words),
        "MsgId": draw(numbers),
        "Location_X": draw(numbers),
        "Recognition": draw(words),
        "ScanCodeInfo": draw(st.sampled_from(["", "<ScanType>a</ScanType>", "<ScanType/><ScanType/>"])),
    }
    names = draw(st.lists(st.sampled_from(sorted(elements)), max_size=14))
    text = "".join(f"<{name}>{_element(elements[name], draw(st.booleans()))}</{name}>" for name in names)
    return f"<xml>{text}</xml>".encode(errors="surrogatepass")


def _element(value: str, in_cdata: bool) -> str:  # noqa: FBT001 - drawn
    if value.startswith("<"):
        return value
    if in_cdata:
        return f"<![CDATA[{value.replace(']]>', '')}]]>"
    return value.replace("&", "&amp;").replace("<", "&lt;")


@pytest.mark.parametrize("account", [APP, OA], ids=lambda account: account.name)
@settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    message=st.one_of(messages(), messages(), st.binary(max_size=300), st.text(max_size=100).map(str.encode))
)
def test_whatever_is_signed_is_answered_or_refused_but_never_fails(
    single: Running, account: SandboxChannel, message: bytes
) -> None:
    answer = deliver(single.server.base, account, forge(account, message))
    assert answer.status in {200, 400, 403}, message
    if answer.status == 200:
        again = deliver(single.server.base, account, forge(account, message))
        assert again.status == 200


def deliver(base: str, account: SandboxChannel, callback: Callback) -> Answer:
    connection = HTTPConnection(str(urlsplit(base).netloc), timeout=10)
    try:
        connection.request("POST", f"/callback/{account.name}?{callback.query}", callback.body)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


async def test_nothing_of_all_this_was_logged_as_a_fault_of_ours(single: Running, records: Records) -> None:
    """Runs last in this module. What was signed and odd may be counted, and then it can also be written."""
    await records.until_drained()
    faults = [line for line in single.server.log().splitlines() if '"level":"error"' in line]
    assert not faults, faults[:3]
    async with Line(single.server.base) as line:
        await asyncio.gather(_is_alive(line, APP))
