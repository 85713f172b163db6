"""The self-built WeCom app: handshake, refusals, answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
import xmltodict
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import CallbackError, ReceiverError, SignatureError, UndecodableError
from bot.model import Text, TextMessage
from bot.platforms.crypto import CallbackCipher
from bot.platforms.wecom.app import WecomApp

if TYPE_CHECKING:
    from wechatpy.enterprise.crypto import WeChatCrypto as WecomCrypto

    from bot.platforms.protocol import Platform

Post = Callable[[str], tuple[str, bytes]]
RECEIVED_AT_MS = 1790000003456
COMMON = (
    "<ToUserName><![CDATA[ww0example]]></ToUserName><FromUserName><![CDATA[ana]]></FromUserName>"
    "<CreateTime>1790000000</CreateTime>"
)
TEXT = (
    f"<xml>{COMMON}<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[签到]]></Content>"
    "<MsgId>24500000000000001</MsgId><AgentID>1000007</AgentID></xml>"
)


def report(event: str, fields: str = "") -> str:
    return (
        f"<xml>{COMMON}<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event>{fields}"
        "<AgentID>1000007</AgentID></xml>"
    )


def test_it_is_a_platform(wecom: WecomApp) -> None:
    platform: Platform = wecom
    assert (platform.channel, platform.kind, platform.text_limit_bytes) == ("app", "wecom_app", 2048)


# ---------------------------------------------------------------- handshake


def handshake(vendor: WecomCrypto, plain: str) -> dict[str, str]:
    shell = xmltodict.parse(vendor.encrypt_message(plain, "nonce42", "1790000000"))["xml"]
    return {
        "msg_signature": shell["MsgSignature"],
        "timestamp": "1790000000",
        "nonce": "nonce42",
        "echostr": shell["Encrypt"],
    }


def test_the_handshake_answers_the_decrypted_echostr_alone(
    wecom: WecomApp, wecom_vendor: WecomCrypto
) -> None:
    """However the plus signs of its base64 arrive."""
    tried_plus = False
    while not tried_plus:
        fields = handshake(wecom_vendor, "8124691872645")
        echostr = fields.pop("echostr")
        tried_plus = "+" in echostr
        head = urlencode(fields)
        for sent in (quote(echostr, safe=""), quote(echostr, safe="+/="), echostr.replace("+", "%20")):
            assert wecom.verify_url(f"{head}&echostr={sent}") == b"8124691872645"


@pytest.mark.parametrize("missing", ["msg_signature", "timestamp", "nonce", "echostr"])
def test_a_handshake_with_a_field_missing_or_empty_is_refused(
    missing: str, wecom: WecomApp, wecom_vendor: WecomCrypto
) -> None:
    fields = handshake(wecom_vendor, "8124691872645")
    with pytest.raises(SignatureError):
        wecom.verify_url(urlencode(fields | {missing: ""}))
    del fields[missing]
    with pytest.raises(SignatureError):
        wecom.verify_url(urlencode(fields))


def test_a_handshake_signed_by_another_is_refused(wecom: WecomApp, wecom_vendor: WecomCrypto) -> None:
    fields = handshake(wecom_vendor, "8124691872645") | {"msg_signature": "0" * 40}
    with pytest.raises(SignatureError):
        wecom.verify_url(urlencode(fields))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("missing", ["msg_signature", "timestamp", "nonce"])
def test_a_callback_with_a_query_field_missing_is_refused(
    missing: str, wecom: WecomApp, wecom_post: Post
) -> None:
    query, body = wecom_post(TEXT)
    kept = "&".join(field for field in query.split("&") if not field.startswith(f"{missing}="))
    for bad in (kept, f"{kept}&{missing}=", f"{query}&{missing}=x"):
        with pytest.raises(SignatureError):
            wecom.open(bad, body, RECEIVED_AT_MS)


def test_a_wrong_signature_is_refused(wecom: WecomApp, wecom_post: Post) -> None:
    query, body = wecom_post(TEXT)
    with pytest.raises(SignatureError):
        wecom.open(query.replace("nonce42", "nonce43"), body, RECEIVED_AT_MS)


def test_a_body_that_was_changed_is_refused(wecom: WecomApp, wecom_post: Post) -> None:
    query, body = wecom_post(TEXT)
    at = body.index(b"<Encrypt><![CDATA[") + 40
    changed = body[:at] + (b"A" if body[at : at + 1] != b"A" else b"B") + body[at + 1 :]
    with pytest.raises(SignatureError):
        wecom.open(query, changed, RECEIVED_AT_MS)


@pytest.mark.parametrize(
    "body", [TEXT.encode(), b"<xml></xml>", b"<xml><Encrypt></Encrypt></xml>", b'{"a":1}', b"{}"]
)
def test_a_clear_body_is_refused_whatever_the_query_says(
    body: bytes, wecom: WecomApp, wecom_post: Post
) -> None:
    """No signature of the query alone counts."""
    query, _ = wecom_post(TEXT)
    with pytest.raises(SignatureError):
        wecom.open(query, body, RECEIVED_AT_MS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Encrypt",
        b"<xml><Encrypt>x",
        b"<!DOCTYPE xml><xml><Encrypt>x</Encrypt></xml>",
        b"<xml><Encrypt>x</Encrypt><Encrypt>y</Encrypt></xml>",
        b"<xml><Encrypt><a>x</a></Encrypt></xml>",
        b"<xml><Encrypt>\xff</Encrypt></xml>",
        b"{",
        b'{"Encrypt": 1',
        b'{"Encrypt": ["x"]}',
        b"[]",
    ],
)
def test_a_broken_shell_is_refused(body: bytes, wecom: WecomApp, wecom_post: Post) -> None:
    query, _ = wecom_post(TEXT)
    with pytest.raises(UndecodableError):
        wecom.open(query, body, RECEIVED_AT_MS)


def test_a_message_for_another_company_is_refused(wecom: WecomApp) -> None:
    other = CallbackCipher("tokTEST1", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "ww0other")
    encrypted = other.encrypt(TEXT.encode())
    signature = other.sign(b"1", b"n", encrypted).decode()
    body = b"<xml><Encrypt>" + encrypted + b"</Encrypt></xml>"
    with pytest.raises(ReceiverError):
        wecom.open(f"msg_signature={signature}&timestamp=1&nonce=n", body, RECEIVED_AT_MS)


@pytest.mark.parametrize("text", [TEXT, report("enter_agent")])
def test_a_message_for_another_app_of_the_company_is_refused(
    text: str, wecom: WecomApp, wecom_post: Post
) -> None:
    with pytest.raises(ReceiverError):
        wecom.open(*wecom_post(text.replace("1000007", "1000008")), RECEIVED_AT_MS)


@pytest.mark.parametrize("agent", ["", "<AgentID/>", "<AgentID></AgentID>", "<AgentID> 1000007 </AgentID>"])
def test_an_absent_agent_is_no_reason_to_refuse(agent: str, wecom: WecomApp, wecom_post: Post) -> None:
    text = TEXT.replace("<AgentID>1000007</AgentID>", agent)
    assert wecom.open(*wecom_post(text), RECEIVED_AT_MS).content == TextMessage("签到")


def test_signed_bytes_that_are_no_callback_are_refused(wecom: WecomApp) -> None:
    vendor = CallbackCipher("tokTEST1", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "ww0example")
    for inner in (
        b"",
        b"text",
        b"\xff\xfe",
        b"<!DOCTYPE xml><xml></xml>",
        b"<xml><Content>&x;</Content></xml>",
    ):
        encrypted = vendor.encrypt(inner)
        signature = vendor.sign(b"1", b"n", encrypted).decode()
        body = b"<xml><Encrypt>" + encrypted + b"</Encrypt></xml>"
        with pytest.raises(UndecodableError):
            wecom.open(f"msg_signature={signature}&timestamp=1&nonce=n", body, RECEIVED_AT_MS)


@given(st.text() | st.just("msg_signature=a&timestamp=1&nonce=n"), st.binary(max_size=300))
def test_arbitrary_requests_raise_callback_errors_only(query: str, body: bytes) -> None:
    wecom = WecomApp(
        channel="app",
        corp_id="ww0example",
        agent_id=1,
        token="tokTEST1",
        encoding_aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    )
    for shell in (body, b"<xml><Encrypt>%b</Encrypt></xml>" % body, b'{"Encrypt":"%b"}' % body):
        with pytest.raises(CallbackError):
            wecom.open(query, shell, RECEIVED_AT_MS)
    with pytest.raises(CallbackError):
        wecom.verify_url(query)


_NAMES = [
    "ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "EventKey", "Content", "MsgId", "AgentID",
    "Location_X", "Scale", "ScanCodeInfo", "ScanType", "SendPicsInfo", "PicList", "item", "PicMd5Sum",
    "SendLocationInfo", "SelectedItems", "SelectedItem", "OptionIds", "OptionId", "BatchJob", "ErrCode",
]  # fmt: skip
_TYPES = [
    "text", "image", "voice", "video", "location", "link", "event", "LOCATION", "click", "view",
    "scancode_push", "pic_weixin", "location_select", "template_card_event", "batch_job_result",
    "change_contact", "open_approval_change", "subscribe", "1000007", "nan", "1e999", "-1", "9" * 5000,
]  # fmt: skip
_TREES = st.recursive(
    st.sampled_from(_TYPES) | st.text(st.characters(codec="utf-8", exclude_characters="<&"), max_size=4),
    lambda inner: st.lists(st.tuples(st.sampled_from(_NAMES), inner), max_size=4).map(
        lambda pairs: "".join(f"<{name}>{value}</{name}>" for name, value in pairs)
    ),
    max_leaves=12,
)


@given(st.sampled_from(_TYPES), st.sampled_from(_TYPES), _TREES)
def test_whatever_the_platform_signs_becomes_an_event_or_a_refusal(
    msg_type: str, event: str, fields: str
) -> None:
    """Fields of any kind in any place: never another error."""
    wecom = WecomApp(
        channel="app",
        corp_id="ww0example",
        agent_id=1000007,
        token="tokTEST1",
        encoding_aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    )
    vendor = CallbackCipher("tokTEST1", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "ww0example")
    text = f"<xml><MsgType>{msg_type}</MsgType><Event>{event}</Event>{fields}</xml>"
    encrypted = vendor.encrypt(text.encode())
    query = f"msg_signature={vendor.sign(b'1', b'n', encrypted).decode()}&timestamp=1&nonce=n"
    with suppress(CallbackError):
        opened = wecom.open(query, b"<xml><Encrypt>%b</Encrypt></xml>" % encrypted, RECEIVED_AT_MS)
        assert opened.id.startswith("app:")
        assert 0 < opened.sent_at_ms < 10**13


# ---------------------------------------------------------------- answers


def test_the_vendor_reads_our_answer(wecom: WecomApp, wecom_post: Post, wecom_vendor: WecomCrypto) -> None:
    event = wecom.open(*wecom_post(TEXT), RECEIVED_AT_MS)
    answer = wecom.render(event, Text("签到成功"), 1790000004999, "")
    shell = xmltodict.parse(answer)["xml"]
    assert list(shell) == ["Encrypt", "MsgSignature", "TimeStamp", "Nonce"]
    assert shell["TimeStamp"] == "1790000004"
    inner = wecom_vendor.decrypt_message(
        answer.decode(), shell["MsgSignature"], shell["TimeStamp"], shell["Nonce"]
    )
    assert xmltodict.parse(inner)["xml"] == {
        "ToUserName": "ana",
        "FromUserName": "ww0example",
        "CreateTime": "1790000004",
        "MsgType": "text",
        "Content": "签到成功",
    }


def test_repeats_of_an_answer_differ_outside_and_agree_inside(
    wecom: WecomApp, wecom_post: Post, wecom_vendor: WecomCrypto
) -> None:
    event = wecom.open(*wecom_post(TEXT), RECEIVED_AT_MS)
    answers = [wecom.render(event, Text("好"), 1790000004999, "") for _ in range(20)]
    shells = [xmltodict.parse(answer)["xml"] for answer in answers]
    assert len({shell["Nonce"] for shell in shells}) == 20
    inner = {
        wecom_vendor.decrypt_message(
            {"Encrypt": shell["Encrypt"]}, shell["MsgSignature"], shell["TimeStamp"], shell["Nonce"]
        )
        for shell in shells
    }
    assert len(inner) == 1


def test_without_a_word_the_acknowledgement_is_empty(wecom: WecomApp, wecom_post: Post) -> None:
    assert wecom.render(wecom.open(*wecom_post(TEXT), 0), None, 1790000004999, "") == b""


def test_a_wrong_key_is_found_at_construction() -> None:
    with pytest.raises(ValueError, match="43"):
        WecomApp(channel="app", corp_id="ww0example", agent_id=1, token="t", encoding_aes_key="")
