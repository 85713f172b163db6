"""Callbacks that are wrong in one way only: everything else, signature included, is as it should be."""

from __future__ import annotations

import base64
import itertools
import os
import time
from collections.abc import Callable
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.sandbox.channel import SandboxChannel
from bot.sandbox.wire import Callback, new_nonce, sign

_numbers = itertools.count(time.time_ns())


def inner_xml(account: SandboxChannel, user_id: str = "mallory", text: str = "签到", **fields: str) -> str:
    """The inner XML of a text, `fields` overwriting elements; an empty one is left out."""
    elements = {
        "ToUserName": account.account_id,
        "FromUserName": user_id,
        "CreateTime": str(int(time.time())),
        "MsgType": "text",
        "Content": escape(text),
        "MsgId": str(next(_numbers)),
        "AgentID": str(account.agent_id) if account.kind == "wecom_app" else "",
        **fields,
    }
    return (
        "<xml>" + "".join(f"<{name}>{value}</{name}>" for name, value in elements.items() if value) + "</xml>"
    )


def forge(
    account: SandboxChannel,
    inner: str | bytes,
    *,
    receiver: str | None = None,
    padding: Callable[[int], bytes] = lambda count: bytes([count]) * count,
    cut: int = 0,
    envelope: str = "<xml><ToUserName>{to}</ToUserName><Encrypt>{encrypt}</Encrypt></xml>",
    drop: str = "",
    token: str = "",
) -> Callback:
    """Sign and encrypt `inner` for `account`, unless told to do it wrong.

    Args:
        account: Whose callback it pretends to be.
        inner: The message.
        receiver: Trailing id, by default the right one.
        padding: Returns the last bytes, given how many (17 to 32) are missing to whole blocks; by default
            PKCS#7.
        cut: Characters taken off the end of the base64 text, before it is signed.
        envelope: The outer XML; {to} and {encrypt} are filled in.
        drop: A field of the query to leave out.
        token: Signs, by default the right one.
    """
    token = token or account.token
    timestamp, nonce = str(int(time.time())), new_nonce()
    query = {"timestamp": timestamp, "nonce": nonce}
    if account.kind == "wechat_oa":
        query["signature"] = sign(token, timestamp, nonce)
    message = inner.encode() if isinstance(inner, str) else inner
    if account.mode == "plain" and account.kind == "wechat_oa":
        body = message
    else:
        encrypt = _encrypt(account, message, receiver, padding)
        encrypt = encrypt[: len(encrypt) - cut]
        query["msg_signature"] = sign(token, timestamp, nonce, encrypt)
        body = envelope.format(to=account.account_id, encrypt=encrypt).encode()
    query.pop(drop, None)
    return Callback(urlencode(query), body)


def _encrypt(
    account: SandboxChannel, message: bytes, receiver: str | None, padding: Callable[[int], bytes]
) -> str:
    trailer = (account.receiver_id if receiver is None else receiver).encode()
    plain = os.urandom(16) + len(message).to_bytes(4) + message + trailer
    plain += padding(32 - len(plain) % 16)
    key = base64.b64decode(account.encoding_aes_key + "=")
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()
