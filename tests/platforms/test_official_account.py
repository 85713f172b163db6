"""The Official Account: three modes, two data formats, answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha1
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import xmltodict
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto as OfficialAccountCrypto

from bot.errors import CallbackError, ReceiverError, SignatureError, UndecodableError
from bot.model import (
    Event,
    NoticeConsent,
    NoticesChanged,
    PicturesSent,
    Text,
    TextMessage,
)
from bot.platforms.crypto import CallbackCipher
from bot.platforms.wechat.official_account import OfficialAccount

if TYPE_CHECKING:
    from bot.platforms.protocol import Platform

Post = Callable[[str], tuple[str, bytes]]
RECEIVED_AT_MS = 1790000003456
TOKEN = "tokTEST1"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
COMMON = (
    "<ToUserName><![CDATA[gh_example]]></ToUserName><FromUserName><![CDATA[oEXAMPLE]]></FromUserName>"
    "<CreateTime>1790000000</CreateTime>"
)
TEXT = (
    f"<xml>{COMMON}<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[签到]]></Content>"
    "<MsgId>24500000000000001</MsgId></xml>"
)
TEXT_EVENT = Event(
    id="oa:oEXAMPLE:24500000000000001",
    channel="oa",
    user_id="oEXAMPLE",
    account_id="gh_example",
    group_id="",
    sent_at_ms=1790000000000,
    content=TextMessage("签到"),
)


def official_account(mode: str, key: str = AES_KEY, original_id: str = "") -> OfficialAccount:
    return OfficialAccount(
        channel="oa",
        app_id="wx0example",
        token=TOKEN,
        encoding_aes_key=key,
        mode=mode,
        original_id=original_id,
    )


def plain_query(**more: str) -> str:
    """Return a query signed as plain mode does, by an own computation."""
    signature = sha1("".join(sorted([TOKEN, "1790000000", "nonce42"])).encode()).hexdigest()  # noqa: S324
    fields = {"signature": signature, "timestamp": "1790000000", "nonce": "nonce42", "openid": "oEXAMPLE"}
    return urlencode(fields | more)


def with_plain_signature(query: str) -> str:
    """Return an encrypted callback's query with the `signature` the vendor sends along."""
    fields = [field for field in query.split("&") if not field.startswith(("signature=", "openid="))]
    kept = [field for field in fields if not field.startswith(("timestamp=", "nonce="))]
    return "&".join([plain_query(), *kept])


def compatible(body: bytes, message: str) -> bytes:
    """Return a compatible-mode body: the clear fields and Encrypt together."""
    encrypted = xmltodict.parse(body)["xml"]["Encrypt"]
    return message.replace("</xml>", f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>").encode()


def test_it_is_a_platform(account: OfficialAccount) -> None:
    platform: Platform = account
    assert (platform.channel, platform.kind, platform.text_limit_bytes) == ("oa", "wechat_oa", 2048)


# ---------------------------------------------------------------- set-up and handshake


@pytest.mark.parametrize("mode", ["encrypted", "compatible"])
def test_modes_that_encrypt_need_a_key(mode: str) -> None:
    with pytest.raises(ValueError, match="43"):
        official_account(mode, key="")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="plain, compatible, encrypted"):
        official_account("safe")


@pytest.mark.parametrize("mode", ["encrypted", "compatible", "plain"])
def test_the_handshake_answers_echostr_as_it_is(mode: str) -> None:
    """The signature is the reference's own vector."""
    query = (
        "signature=1fc3ee6c4fc69936ec6bf228bec75e6903b092b0&timestamp=1790000000&nonce=nonce42&echostr=59277"
    )
    assert official_account(mode).verify_url(query) == b"59277"


@pytest.mark.parametrize("field", ["signature", "timestamp", "nonce", "echostr"])
def test_a_handshake_with_a_field_missing_is_refused(field: str, account: OfficialAccount) -> None:
    fields = plain_query(echostr="59277").split("&")
    with pytest.raises(SignatureError):
        account.verify_url("&".join(part for part in fields if not part.startswith(f"{field}=")))


def test_a_handshake_signed_by_another_is_refused(account: OfficialAccount) -> None:
    with pytest.raises(SignatureError):
        account.verify_url(plain_query(echostr="59277", nonce="other"))


# ---------------------------------------------------------------- encrypted and compatible


@pytest.mark.parametrize("mode", ["encrypted", "compatible", "plain"])
def test_an_encrypted_message_is_read(mode: str, account_post: Post) -> None:
    query, body = account_post(TEXT)
    opened = official_account(mode).open(with_plain_signature(query), body, RECEIVED_AT_MS)
    assert opened == TEXT_EVENT


@pytest.mark.parametrize("mode", ["encrypted", "compatible", "plain"])
def test_where_clear_and_encrypted_disagree_the_signed_part_counts(mode: str, account_post: Post) -> None:
    query, body = account_post(TEXT)
    forged = compatible(body, TEXT.replace("签到", "加分 我 999").replace("oEXAMPLE", "oBOSS"))
    opened = official_account(mode).open(with_plain_signature(query), forged, RECEIVED_AT_MS)
    assert opened == TEXT_EVENT


@pytest.mark.parametrize("mode", ["encrypted", "compatible"])
def test_a_clear_body_alone_is_refused_where_only_encrypted_ones_count(mode: str) -> None:
    """`signature` is valid, but it does not cover the body."""
    with pytest.raises(SignatureError):
        official_account(mode).open(plain_query(msg_signature="0" * 40), TEXT.encode(), RECEIVED_AT_MS)


@pytest.mark.parametrize("mode", ["encrypted", "compatible", "plain"])
def test_an_encrypted_body_without_its_own_signature_is_refused(mode: str, account_post: Post) -> None:
    _, body = account_post(TEXT)
    for query in (plain_query(), plain_query(msg_signature="0" * 40), plain_query(msg_signature="")):
        with pytest.raises(SignatureError):
            official_account(mode).open(query, body, RECEIVED_AT_MS)


@pytest.mark.parametrize("mode", ["encrypted", "compatible", "plain"])
def test_a_message_for_another_account_is_refused(mode: str) -> None:
    vendor = OfficialAccountCrypto(TOKEN, AES_KEY, "wx0other")
    shell = xmltodict.parse(vendor.encrypt_message(TEXT, "nonce42", "1790000000"))["xml"]
    body = f"<xml><Encrypt>{shell['Encrypt']}</Encrypt></xml>".encode()
    with pytest.raises(ReceiverError):
        official_account(mode).open(plain_query(msg_signature=shell["MsgSignature"]), body, RECEIVED_AT_MS)


def test_a_broken_body_is_undecodable(account: OfficialAccount, account_post: Post) -> None:
    query, body = account_post(TEXT)
    for broken in (b"", body[:-1], b"\xff", b"<!DOCTYPE xml>" + body, b"{", b'{"Encrypt":{}}'):
        with pytest.raises(UndecodableError):
            account.open(query, broken, RECEIVED_AT_MS)


# ---------------------------------------------------------------- plain


def test_plain_mode_reads_a_clear_message() -> None:
    plain = official_account("plain", key="")
    assert plain.open(plain_query(), TEXT.encode(), RECEIVED_AT_MS) == TEXT_EVENT
    assert plain.open(plain_query(encrypt_type="raw"), TEXT.encode(), RECEIVED_AT_MS) == TEXT_EVENT


@pytest.mark.parametrize("field", ["signature", "timestamp", "nonce"])
def test_plain_mode_needs_its_signature(field: str) -> None:
    fields = plain_query().split("&")
    kept = "&".join(part for part in fields if not part.startswith(f"{field}="))
    for query in (kept, f"{kept}&{field}=", f"{kept}&{field}=wrong"):
        with pytest.raises(SignatureError):
            official_account("plain").open(query, TEXT.encode(), RECEIVED_AT_MS)


def test_plain_mode_compares_the_receiver_with_the_original_id() -> None:
    ours = official_account("plain", original_id="gh_example")
    assert ours.open(plain_query(), TEXT.encode(), RECEIVED_AT_MS) == TEXT_EVENT
    for other in (TEXT.replace("gh_example", "gh_other"), "<xml><MsgType>text</MsgType></xml>"):
        with pytest.raises(ReceiverError):
            ours.open(plain_query(), other.encode(), RECEIVED_AT_MS)


def test_plain_mode_without_a_key_cannot_read_an_encrypted_message(account_post: Post) -> None:
    query, body = account_post(TEXT)
    with pytest.raises(UndecodableError):
        official_account("plain", key="").open(with_plain_signature(query), body, RECEIVED_AT_MS)


def test_plain_mode_without_a_key_reads_the_clear_half_of_a_compatible_body(account_post: Post) -> None:
    query, body = account_post(TEXT)
    both = compatible(body, TEXT)
    plain = official_account("plain", key="")
    assert plain.open(with_plain_signature(query), both, RECEIVED_AT_MS) == TEXT_EVENT


def test_plain_mode_refuses_a_document_type_and_broken_bodies() -> None:
    plain = official_account("plain")
    for body in (b"<!DOCTYPE xml>" + TEXT.encode(), b"", b"\xff", b"{", b"[1]", b'{"a":' * 1100):
        with pytest.raises(UndecodableError):
            plain.open(plain_query(), body, RECEIVED_AT_MS)


# ---------------------------------------------------------------- JSON

JSON_TEXT = {
    "ToUserName": "gh_example",
    "FromUserName": "oEXAMPLE",
    "CreateTime": 1790000000,
    "MsgType": "text",
    "Content": "签到",
    "MsgId": 24500000000000001,
    "Extra": None,
}


def test_json_says_the_same_as_xml_clear_and_encrypted(
    account: OfficialAccount, account_vendor: OfficialAccountCrypto
) -> None:
    message = json.dumps(JSON_TEXT)
    clear = official_account("plain", original_id="gh_example")
    assert clear.open(plain_query(), f"\n {message}".encode(), RECEIVED_AT_MS) == TEXT_EVENT
    shell = xmltodict.parse(account_vendor.encrypt_message(message, "nonce42", "1790000000"))["xml"]
    body = json.dumps({"ToUserName": "gh_example", "Encrypt": shell["Encrypt"]}).encode()
    query = plain_query(msg_signature=shell["MsgSignature"], encrypt_type="aes")
    assert account.open(query, body, RECEIVED_AT_MS) == TEXT_EVENT
    assert clear.open(query, body, RECEIVED_AT_MS) == TEXT_EVENT


@pytest.mark.parametrize(
    ("listed", "count"),
    [
        ({"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "2"}, 1),
        ([{"TemplateId": "T1", "SubscribeStatusString": "accept"}], 1),
        ([{"TemplateId": "T1", "SubscribeStatusString": "accept"}] * 3, 3),
        ([], 0),
        (None, 0),
    ],
)
def test_a_json_list_is_an_object_when_single_and_an_array_when_several(listed: object, count: int) -> None:
    body = JSON_TEXT | {
        "MsgType": "event",
        "Event": "subscribe_msg_popup_event",
        "SubscribeMsgPopupEvent": {"List": listed},
    }
    event = official_account("plain").open(plain_query(), json.dumps(body).encode(), RECEIVED_AT_MS)
    expected = (NoticeConsent("T1", "accept"),) * count
    assert event.content == NoticesChanged("subscribe_msg_popup_event", expected)


@pytest.mark.parametrize("pictures", [{"item": [{"PicMd5Sum": "a"}, {"PicMd5Sum": "b"}]},
                                      [{"PicMd5Sum": "a"}, {"PicMd5Sum": "b"}]])  # fmt: skip
def test_json_pictures_come_in_either_shape(pictures: object) -> None:
    body = JSON_TEXT | {
        "MsgType": "event", "Event": "pic_weixin", "EventKey": 6,
        "SendPicsInfo": {"Count": 2, "PicList": pictures},
    }  # fmt: skip
    event = official_account("plain").open(plain_query(), json.dumps(body).encode(), RECEIVED_AT_MS)
    assert event.content == PicturesSent("6", "pic_weixin", ("a", "b"))


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b'"a":{' * 17 + b"}" * 18,
        b'{"a":[' + b"1," * 10_001 + b"1]}",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
    ],
)
def test_json_no_platform_sends_is_refused(body: bytes) -> None:
    with pytest.raises(UndecodableError):
        official_account("plain").open(plain_query(), body, RECEIVED_AT_MS)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["List", "item", "PicList", "PicMd5Sum", "TemplateId", "MsgId", "a"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [*JSON_TEXT, "Event", "SendPicsInfo", "SubscribeMsgPopupEvent", "Location_X", "Scale"]
        ),
        _JSON | st.sampled_from(["event", "text", "location", "pic_weixin", "subscribe_msg_popup_event"]),
    )
)
def test_any_json_object_becomes_an_event_or_a_refusal(body: dict[str, object]) -> None:
    try:
        event = official_account("plain").open(plain_query(), json.dumps(body).encode(), RECEIVED_AT_MS)
    except CallbackError:
        return
    assert event.id.startswith("oa:")


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("mode", ["encrypted", "compatible"])
def test_the_vendor_reads_our_encrypted_answer(mode: str, account_vendor: OfficialAccountCrypto) -> None:
    answer = official_account(mode).render(TEXT_EVENT, Text("好"), 1790000004999, "")
    shell = xmltodict.parse(answer)["xml"]
    inner = account_vendor.decrypt_message(
        answer.decode(), shell["MsgSignature"], shell["TimeStamp"], shell["Nonce"]
    )
    assert xmltodict.parse(inner)["xml"]["ToUserName"] == "oEXAMPLE"
    assert xmltodict.parse(inner)["xml"]["FromUserName"] == "gh_example"
    assert xmltodict.parse(inner)["xml"]["Content"] == "好"


@pytest.mark.parametrize("key", ["", AES_KEY])
def test_plain_mode_answers_in_the_clear(key: str) -> None:
    answer = official_account("plain", key).render(TEXT_EVENT, Text("好"), 1790000004999, "")
    assert xmltodict.parse(answer)["xml"] == {
        "ToUserName": "oEXAMPLE",
        "FromUserName": "gh_example",
        "CreateTime": "1790000004",
        "MsgType": "text",
        "Content": "好",
    }


@pytest.mark.parametrize("mode", ["encrypted", "compatible", "plain"])
def test_without_a_word_success_is_the_acknowledgement(mode: str) -> None:
    assert official_account(mode).render(TEXT_EVENT, None, 1790000004999, "") == b"success"


@given(
    st.text() | st.just(plain_query()), st.binary(max_size=300), st.sampled_from(["encrypted", "compatible"])
)
def test_arbitrary_requests_raise_callback_errors_only(query: str, body: bytes, mode: str) -> None:
    """In plain mode a signed query with a body of one's own is what it is; elsewhere nothing passes."""
    with pytest.raises(CallbackError):
        official_account(mode).open(query, body, RECEIVED_AT_MS)
    try:
        official_account("plain").open(query, body, RECEIVED_AT_MS)
    except CallbackError:
        return
    assert query == plain_query()


@given(st.binary(max_size=100))
def test_signed_bytes_become_an_event_or_a_refusal(message: bytes) -> None:
    vendor = CallbackCipher(TOKEN, AES_KEY, "wx0example")
    for inner in (message, b"{%b}" % message, b"<xml>%b</xml>" % message):
        encrypted = vendor.encrypt(inner)
        query = f"msg_signature={vendor.sign(b'1', b'n', encrypted).decode()}&timestamp=1&nonce=n"
        try:
            event = official_account("encrypted").open(query, b'{"Encrypt":"%b"}' % encrypted, RECEIVED_AT_MS)
        except CallbackError:
            continue
        assert event.sent_at_ms == RECEIVED_AT_MS
