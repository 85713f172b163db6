"""Callback bytes: encrypted and signed as the vendors do it, and the bot's answers opened.

The cryptography is wechatpy's, on purpose: it is an implementation of the vendors' scheme that this
project did not write, so what the two agree on is the scheme and not a shared mistake.

Source: WeCom, callback security; Official Account, callback URL and security.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import xmltodict
from wechatpy.crypto import WeChatCrypto as AccountCrypto
from wechatpy.crypto.base import WeChatCipher
from wechatpy.crypto.pkcs7 import PKCS7Encoder
from wechatpy.enterprise.crypto import WeChatCrypto as CorpCrypto
from wechatpy.utils import WeChatSigner

from bot.errors import BotError
from bot.sandbox.letters import envelope, with_encrypt

if TYPE_CHECKING:
    from bot.sandbox.channel import SandboxChannel

ACKNOWLEDGEMENTS = (b"", b"success")
"""Bodies that say "got it, no answer"."""


class UndecodableAnswerError(BotError):
    """The bot's answer is not what the vendor accepts; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One delivery, ready to be posted, as often as wanted.

    Attributes:
        query: Query string without the question mark, percent-encoded.
        body: Body of the POST.
        plaintext: The inner XML or JSON, for comparisons in tests.
        nonce: The nonce in the query, which an AI bot's answer must repeat.
    """

    query: str
    body: bytes = field(repr=False)
    plaintext: str = field(default="", repr=False)
    nonce: str = ""


def seal(
    channel: SandboxChannel, inner: str, *, timestamp_s: int, nonce: str = "", openid: str = ""
) -> Callback:
    """Return the callback that carries `inner`, in the channel's security mode.

    `timestamp_s` is the delivery's, Unix seconds; `nonce` is drawn when empty; `openid` is the sender
    named in the query of an Official Account.
    """
    nonce = nonce or new_nonce()
    query = {"timestamp": str(timestamp_s), "nonce": nonce}
    if channel.kind == "wechat_oa":
        query = {"signature": sign(channel.token, str(timestamp_s), nonce), **query, "openid": openid}
    if channel.kind == "wechat_oa" and channel.mode == "plain":
        return Callback(urlencode(query), inner.encode(), inner, nonce)
    encrypt, signature = _encrypt(channel, inner, str(timestamp_s), nonce)
    if channel.kind == "wechat_oa":
        query["encrypt_type"] = "aes"
    query["msg_signature"] = signature
    if channel.kind == "wecom_aibot":
        return Callback(urlencode(query), orjson.dumps({"encrypt": encrypt}), inner, nonce)
    clear = channel.kind == "wechat_oa" and channel.mode == "compatible"
    body = with_encrypt(inner, encrypt) if clear else envelope(channel, encrypt)
    return Callback(urlencode(query), body.encode(), inner, nonce)


def verification_query(channel: SandboxChannel, echo: str, *, timestamp_s: int) -> str:
    """Return the query of the GET by which the vendor tests a callback address.

    WeCom encrypts the echo and wants it back in clear; an Official Account sends it in clear.
    """
    timestamp, nonce = str(timestamp_s), new_nonce()
    if channel.kind == "wechat_oa":
        signature = sign(channel.token, timestamp, nonce)
        return urlencode({"signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": echo})
    encrypt, signature = _encrypt(channel, echo, timestamp, nonce)
    return urlencode({"msg_signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": encrypt})


def open_answer(channel: SandboxChannel, body: bytes) -> str:
    """Return the inner XML of a passive answer, "" for an acknowledgement.

    Raises:
        UndecodableAnswerError: not XML, not signed with our token, not encrypted with our key, meant for
            another receiver, or clear where the mode demands encryption (and the other way round).
    """
    if body.strip() in ACKNOWLEDGEMENTS:
        return ""
    outer = parse(body)
    if "Encrypt" in outer:
        if channel.kind == "wechat_oa" and channel.mode == "plain":
            raise UndecodableAnswerError("an encrypted answer on a channel in plain mode")
        return _decrypt(channel, outer)
    if channel.kind == "wecom_app" or channel.mode == "encrypted":
        raise UndecodableAnswerError("the answer has no Encrypt element")
    return body.decode()


def open_bot_answer(channel: SandboxChannel, body: bytes, nonce: str) -> Any:
    """Return the JSON an AI bot answers, None for an acknowledgement; `nonce` is that of the callback.

    Source: WeCom, JSON flavour for the AI bot.

    Raises:
        UndecodableAnswerError: not the four fields as documented, signed with another token or nonce, or
            not encrypted with our key and an empty receiver.
    """
    if body.strip() in ACKNOWLEDGEMENTS:
        return None
    try:
        outer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UndecodableAnswerError("the answer is not JSON") from None
    if not isinstance(outer, dict):
        raise UndecodableAnswerError("the answer is not a JSON object")
    missing = [name for name in ("encrypt", "msgsignature", "timestamp", "nonce") if name not in outer]
    if missing:
        raise UndecodableAnswerError(f"the answer lacks {', '.join(missing)}")
    if not isinstance(outer["timestamp"], int) or isinstance(outer["timestamp"], bool):
        raise UndecodableAnswerError("timestamp of the answer is not an integer")
    if outer["nonce"] != nonce:
        raise UndecodableAnswerError("nonce of the answer is not that of the callback's address")
    envelope_of_answer = {
        "Encrypt": outer["encrypt"], "MsgSignature": outer["msgsignature"],
        "TimeStamp": str(outer["timestamp"]), "Nonce": nonce,
    }  # fmt: skip
    inner = _decrypt(channel, envelope_of_answer)
    try:
        return orjson.loads(inner)
    except orjson.JSONDecodeError:
        raise UndecodableAnswerError("what the answer encrypts is not JSON") from None


def encrypt_media(encoding_aes_key: str, blob: bytes) -> bytes:
    """Return the bytes of an image or file as an AI bot gets them, under a key of 43 characters.

    Source: WeCom, AI bot, media decrypt.
    """
    key = base64.b64decode(encoding_aes_key + "=")
    return bytes(WeChatCipher(key).encrypt(PKCS7Encoder.encode(blob)))


def new_media_key() -> str:
    """Return a fresh key of 43 characters for one medium of a long connection."""
    return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def parse(text: str | bytes) -> dict[str, Any]:
    """Return the elements inside ``<xml>``; repeated ones as a list, nested ones as a dict.

    Raises:
        UndecodableAnswerError: it is not one well-formed ``<xml>`` element.
    """
    try:
        root = xmltodict.parse(text)["xml"]
    except Exception as error:  # expat's and xmltodict's errors, and KeyError for another root
        raise UndecodableAnswerError(f"not an <xml> document: {type(error).__name__}") from error
    if not isinstance(root, dict):
        raise UndecodableAnswerError("the <xml> element has no elements")
    return root


def sign(*parts: str) -> str:
    """Return the vendors' signature: hex SHA-1 over the sorted, joined parts."""
    signer = WeChatSigner()
    signer.add_data(*parts)
    return str(signer.signature)


def new_nonce() -> str:
    """Return a fresh nonce, ten digits as the vendors send them."""
    return str(1_000_000_000 + secrets.randbelow(9_000_000_000))


def _crypto(channel: SandboxChannel) -> AccountCrypto | CorpCrypto:
    crypto = AccountCrypto if channel.kind == "wechat_oa" else CorpCrypto
    return crypto(channel.token, channel.encoding_aes_key, channel.receiver_id)


def _encrypt(channel: SandboxChannel, inner: str, timestamp: str, nonce: str) -> tuple[str, str]:
    # wechatpy only writes the envelope of an answer; its parts are those of a callback too.
    answer = parse(_crypto(channel).encrypt_message(inner, nonce, timestamp))
    return answer["Encrypt"], answer["MsgSignature"]


def _decrypt(channel: SandboxChannel, outer: dict[str, Any]) -> str:
    missing = [name for name in ("Encrypt", "MsgSignature", "TimeStamp", "Nonce") if not outer.get(name)]
    if missing:
        raise UndecodableAnswerError(f"the answer lacks {', '.join(missing)}")
    if not str(outer["TimeStamp"]).isdigit():
        raise UndecodableAnswerError("TimeStamp of the answer is not a number")
    try:
        return str(
            _crypto(channel).decrypt_message(outer, outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"])
        )
    except Exception as error:  # wechatpy lets through whatever its decoding trips over
        raise UndecodableAnswerError(f"cannot open the answer: {type(error).__name__}") from error
