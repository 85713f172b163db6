"""Micro timings of the steps between bytes and events, ours beside wechatpy's, in one run.

    python -m bench.steps

Each step does the same work twice: our code, and wechatpy as its documentation shows. Both are timed in
turn, round by round, so that a busy moment of the machine hits both; the fastest round of each counts.
Only the ratio carries over to another machine.
"""

from __future__ import annotations

import timeit
from binascii import a2b_base64
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import xmltodict
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from wechatpy.enterprise import create_reply, parse_message
from wechatpy.enterprise.crypto import WeChatCrypto

from bot.model import ImageMessage, Text
from bot.platforms import envelope, replies, xml
from bot.platforms.codec import content_of, event_of, text_event
from bot.platforms.crypto import CallbackCipher, decode_aes_key
from bot.platforms.query import parse_query
from bot.platforms.wecom.app import WecomApp
from bot.platforms.wecom.codec import REPORTS

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 9
CALLS = 4000
TOKEN, AES_KEY, CORP_ID = "tokTEST1", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "ww0example"
AT_MS = 1790000000123
ANSWER = "签到成功！连续 3 天，获得 10 积分，当前 130 积分。"
_HEAD = (
    "<xml><ToUserName><![CDATA[ww0example]]></ToUserName><FromUserName><![CDATA[ana]]></FromUserName>"
    "<CreateTime>1790000000</CreateTime>"
)
TEXT = (
    f"{_HEAD}<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[今天签到[微笑]有什么好处吗]]></Content>"
    "<MsgId>24500000000000001</MsgId><AgentID>1000007</AgentID></xml>"
)
IMAGE = (
    f"{_HEAD}<MsgType><![CDATA[image]]></MsgType><PicUrl><![CDATA[http://p.example/1?a=1]]></PicUrl>"
    "<MediaId><![CDATA[media-1]]></MediaId><MsgId>24500000000000002</MsgId><AgentID>1000007</AgentID></xml>"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work, done by us and by the other; None where the other has none."""

    name: str
    ours: Callable[[], object]
    other: Callable[[], object] | None


@dataclass(frozen=True, slots=True)
class Callback:
    """One callback as it arrives, with what is found inside on the way."""

    query: str
    body: bytes
    encrypted: bytes
    signature: str


def make_callback(cipher: CallbackCipher) -> Callback:
    """Return a signed and encrypted text message."""
    encrypted = cipher.encrypt(TEXT.encode())
    signature = cipher.sign(b"1790000000", b"nonce42", encrypted).decode()
    body = (
        b"<xml><ToUserName><![CDATA[ww0example]]></ToUserName><AgentID><![CDATA[1000007]]></AgentID>"
        b"<Encrypt><![CDATA[%b]]></Encrypt></xml>" % encrypted
    )
    query = f"msg_signature={signature}&timestamp=1790000000&nonce=nonce42"
    return Callback(query, body, encrypted, signature)


def incoming(app: WecomApp, cipher: CallbackCipher, vendor: WeChatCrypto) -> list[Step]:
    """Return the steps from bytes to an event."""
    call = make_callback(cipher)
    text, image = TEXT.encode(), IMAGE.encode()
    aes_key = decode_aes_key(AES_KEY)
    reused = Cipher(algorithms.AES(aes_key), modes.CBC(aes_key[:16]))
    blocks = a2b_base64(call.encrypted)
    envelope_dict = {"Encrypt": call.encrypted.decode()}

    def ours_text() -> object:
        usual = xml.text_message(text)
        assert usual is not None
        return text_event("app", usual)

    def ours_image() -> object:
        elements = xml.parse_message(image)
        content = content_of(elements, REPORTS)
        assert isinstance(content, ImageMessage)
        return event_of("app", elements, content, image, AT_MS)

    def ours_decrypt() -> object:
        cipher.check(call.signature, "1790000000", "nonce42", call.encrypted)
        return cipher.decrypt(call.encrypted)

    def their_text() -> object:
        found = parse_message(TEXT)
        return found.id, found.source, found.target, found.time, found.content

    def their_image() -> object:
        found = parse_message(IMAGE)
        return found.id, found.source, found.target, found.time, found.image, found.media_id

    def their_open() -> object:
        fields = parse_qs(call.query)
        message = vendor.decrypt_message(
            call.body, fields["msg_signature"][0], fields["timestamp"][0], fields["nonce"][0]
        )
        found = parse_message(message)
        return found.id, found.source, found.target, found.time, found.content

    return [
        Step("query string", lambda: parse_query(call.query), lambda: parse_qs(call.query)),
        Step(
            "envelope XML → Encrypt",
            lambda: envelope.encrypted_text(call.body),
            lambda: xmltodict.parse(call.body.decode())["xml"]["Encrypt"],
        ),
        Step(
            "signature, AES, framing",
            ours_decrypt,
            lambda: vendor.decrypt_message(envelope_dict, call.signature, "1790000000", "nonce42"),
        ),
        Step("  of it AES with framing", lambda: cipher.decrypt(call.encrypted), None),
        Step("  AES alone, new context each", lambda: reused.decryptor().update(blocks), None),
        Step("message XML, usual text", lambda: xml.text_message(text), lambda: xmltodict.parse(TEXT)),
        Step("message XML, general", lambda: xml.parse_message(text), lambda: xmltodict.parse(TEXT)),
        Step("text message → object", ours_text, their_text),
        Step("picture → object", ours_image, their_image),
        Step("IN, all: query + body → event", lambda: app.open(call.query, call.body, AT_MS), their_open),
    ]


def outgoing(app: WecomApp, cipher: CallbackCipher, vendor: WeChatCrypto) -> list[Step]:
    """Return the steps from an answer to bytes."""
    call = make_callback(cipher)
    event = app.open(call.query, call.body, AT_MS)
    part = Text(ANSWER)
    plain = replies.render_reply(event, part, AT_MS)
    found = parse_message(TEXT)
    their_plain = create_reply(ANSWER, found).render()
    return [
        Step(
            "answer → XML",
            lambda: replies.render_reply(event, part, AT_MS),
            lambda: create_reply(ANSWER, found).render(),
        ),
        Step(
            "encrypt, sign, envelope",
            lambda: envelope.seal(cipher, plain, AT_MS),
            lambda: vendor.encrypt_message(their_plain, "nonce42", "1790000000"),
        ),
        Step("  of it AES with framing", lambda: cipher.encrypt(plain), None),
        Step(
            "OUT, all: part → bytes",
            lambda: app.render(event, part, AT_MS, ""),
            lambda: vendor.encrypt_message(create_reply(ANSWER, found), "nonce42", "1790000000"),
        ),
    ]


def measure(step: Step) -> tuple[float, float | None]:
    """Return the microseconds one call takes us and the other."""
    ours, other = [], []
    for _ in range(ROUNDS):
        ours.append(timeit.timeit(step.ours, number=CALLS))
        if step.other is not None:
            other.append(timeit.timeit(step.other, number=CALLS))
    per_call = 1e6 / CALLS
    return min(ours) * per_call, min(other) * per_call if other else None


def main() -> None:
    """Measure every step and print the table."""
    app = WecomApp(channel="app", corp_id=CORP_ID, agent_id=1000007, token=TOKEN, encoding_aes_key=AES_KEY)
    cipher = CallbackCipher(TOKEN, AES_KEY, CORP_ID)
    vendor = WeChatCrypto(TOKEN, AES_KEY, CORP_ID)
    print("| step | ours µs | wechatpy µs | wechatpy ÷ ours |")
    print("|---|---|---|---|")
    for step in incoming(app, cipher, vendor) + outgoing(app, cipher, vendor):
        ours, other = measure(step)
        theirs = "–" if other is None else f"{other:.1f}"
        ratio = "–" if other is None else f"{other / ours:.1f}"
        print(f"| {step.name} | {ours:.2f} | {theirs} | {ratio} |")


if __name__ == "__main__":
    main()
