"""The outer, unsigned shell of an encrypted callback and of its answer.

From a shell that came in nothing is taken but `Encrypt`: the signature covers nothing else.

Source: WeCom, callback security, message delivery; WeChat, callback URL and security, modes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.errors import SignatureError, UndecodableError
from bot.platforms import json_body, xml

if TYPE_CHECKING:
    from bot.platforms.crypto import CallbackCipher
    from bot.platforms.elements import Elements

_ANSWER = (
    b"<xml><Encrypt><![CDATA[%b]]></Encrypt><MsgSignature><![CDATA[%b]]></MsgSignature>"
    b"<TimeStamp>%b</TimeStamp><Nonce><![CDATA[%b]]></Nonce></xml>"
)


def encrypted_text(body: bytes) -> bytes:
    """Return the base64 text of `Encrypt` in an XML or JSON shell.

    Raises:
        UndecodableError: The shell is broken, or holds `Encrypt` twice.
        SignatureError: It holds no `Encrypt`: what msg_signature would cover is not there.
    """
    encrypted = xml.encrypted_envelope(body)
    if encrypted is None:
        encrypted = encrypted_element(json_body.parse(body) if json_body.is_json(body) else xml.parse(body))
    if not encrypted:
        raise SignatureError("the body is not encrypted")
    return encrypted


def encrypted_element(elements: Elements) -> bytes:
    """Return the text of `Encrypt`, empty where there is none.

    Raises:
        UndecodableError: There are several, or it is not a text.
    """
    encrypted = elements.get("Encrypt", "")
    if not isinstance(encrypted, str):
        raise UndecodableError("Encrypt is not one text")
    return encrypted.encode()


def seal(cipher: CallbackCipher, message: bytes, at_ms: int) -> bytes:
    """Return the encrypted and signed answer around the XML `message`, decided at `at_ms`."""
    encrypted = cipher.encrypt(message)
    timestamp = b"%d" % (at_ms // 1000)
    nonce = cipher.nonce()
    return _ANSWER % (encrypted, cipher.sign(timestamp, nonce, encrypted), timestamp, nonce)
