"""The vendor's side of an AI bot in callback mode; its cipher is wechatpy's, which is not ours."""

from __future__ import annotations

import itertools
import json
import secrets
from typing import Any, NamedTuple
from urllib.parse import urlencode

import xmltodict
from wechatpy.enterprise.crypto import WeChatCrypto

TOKEN = "tokTEST1"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
SENT_S = 1_790_000_000

Json = dict[str, Any]


class Callback(NamedTuple):
    """One POST; `nonce` is what the answer must repeat."""

    query: str
    body: bytes
    nonce: str


class AibotVendor:
    """Makes callbacks and opens answers."""

    def __init__(self, *, token: str = TOKEN, receiver: str = "", response_url: str = "") -> None:
        self.token = token
        self.response_url = response_url
        self._receiver = receiver
        self._crypto = WeChatCrypto(token, AES_KEY, receiver)
        self._numbers = itertools.count(1)

    # ------------------------------------------------------------ what it sends

    def seal(self, message: Json | str) -> Callback:
        """Encrypt and sign `message` as it does, with a nonce it has not used."""
        plain = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
        nonce = secrets.token_hex(6)
        shell = xmltodict.parse(self._crypto.encrypt_message(plain, nonce, str(SENT_S)))["xml"]
        query = urlencode({"msg_signature": shell["MsgSignature"], "timestamp": str(SENT_S), "nonce": nonce})
        return Callback(query, json.dumps({"encrypt": shell["Encrypt"]}).encode(), nonce)

    def handshake(self, plain: str) -> dict[str, str]:
        """The fields of the GET by which it tests an address."""
        shell = xmltodict.parse(self._crypto.encrypt_message(plain, "nonce42", str(SENT_S)))["xml"]
        return {
            "msg_signature": shell["MsgSignature"],
            "timestamp": str(SENT_S),
            "nonce": "nonce42",
            "echostr": shell["Encrypt"],
        }

    def message(self, user_id: str = "ana", *, group: str = "", **fields: Any) -> Json:
        """A message of whatever kind `fields` say."""
        number = next(self._numbers)
        url = {"response_url": f"{self.response_url}?response_code=R{number}"} if self.response_url else {}
        place = {"chattype": "group", "chatid": group} if group else {"chattype": "single"}
        return {
            "msgid": f"m-{number}-{secrets.token_hex(4)}",
            "aibotid": "aibEXAMPLE",
            **place,
            "from": {"userid": user_id},
            **url,
            **fields,
        }

    def text(self, text: str, user_id: str = "ana", *, group: str = "", **fields: Any) -> Json:
        """A text; in a group it mentions the bot, as it must to be heard."""
        said = f"@Ops {text}" if group else text
        return self.message(user_id, group=group, msgtype="text", text={"content": said}, **fields)

    def event(self, kind: str, user_id: str = "ana", **payload: Any) -> Json:
        """An event with its payload under its own name."""
        event = {"eventtype": kind, **({kind: payload} if payload else {})}
        return self.message(user_id, msgtype="event", create_time=SENT_S, event=event)

    def poll(self, stream_id: str, user_id: str = "ana") -> Json:
        """What it sends every second until a stream is finished."""
        return self.message(user_id, msgtype="stream", stream={"id": stream_id})

    # ------------------------------------------------------------ what it gets

    def open(self, callback: Callback, answer: bytes) -> Json:
        """Check and decrypt an answer, as strictly as it does."""
        shell = json.loads(answer)
        assert set(shell) == {"encrypt", "msgsignature", "timestamp", "nonce"}
        assert type(shell["timestamp"]) is int
        assert shell["nonce"] == callback.nonce
        plain = self._crypto.decrypt_message(
            {"Encrypt": shell["encrypt"]}, shell["msgsignature"], str(shell["timestamp"]), shell["nonce"]
        )
        opened: Json = json.loads(plain)
        return opened
