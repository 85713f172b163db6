"""The Official Account and service account (公众号, 服务号), in its three security modes.

What each mode trusts: `encrypted` and `compatible` believe only what msg_signature covers, which is
Encrypt. `plain` has nothing better than `signature`, which does not cover the body: whoever has seen one
valid query string can post any body. It is for trying things out.

Source: WeChat, callback URL and security.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.errors import ReceiverError, UndecodableError
from bot.platforms import envelope, json_body, xml
from bot.platforms.codec import content_of, event_of, text_event
from bot.platforms.crypto import CallbackCipher, check_signature
from bot.platforms.elements import word
from bot.platforms.query import parse_query, require
from bot.platforms.replies import TEXT_LIMIT_BYTES, render_reply
from bot.platforms.wechat.codec import REPORTS

if TYPE_CHECKING:
    from bot.model import Event, Part
    from bot.platforms.elements import Elements

MODES = ("plain", "compatible", "encrypted")
_ACKNOWLEDGEMENT = b"success"


class OfficialAccount:
    """One account as a `bot.platforms.protocol.Platform`."""

    kind = "wechat_oa"
    content_type = "application/xml"
    text_limit_bytes = TEXT_LIMIT_BYTES
    streams = None

    def __init__(
        self,
        *,
        channel: str,
        app_id: str,
        token: str,
        encoding_aes_key: str,
        mode: str = "encrypted",
        original_id: str = "",
    ) -> None:
        """Set up one account.

        Args:
            channel: Name of the channel.
            app_id: AppID, which is the receiver id of every encrypted callback.
            token: Token of the server configuration (服务器配置).
            encoding_aes_key: EncodingAESKey of the same, 43 characters; may be empty in plain mode.
            mode: Its security mode: plain, compatible or encrypted.
            original_id: The account's original id (原始ID, ``gh_…``), which plain mode compares with
                ToUserName; empty to accept any.

        Raises:
            ValueError: `mode` is none of the three, or `encoding_aes_key` is none where one is needed.
        """
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
        self.channel = channel
        self._token = token.encode()
        self._original_id = original_id
        self._plain = mode == "plain"
        self._cipher: CallbackCipher | None = None
        if encoding_aes_key or not self._plain:
            self._cipher = CallbackCipher(token, encoding_aes_key, app_id)

    def verify_url(self, query: str) -> bytes:
        """Return echostr as it came; it is not encrypted here.

        Raises:
            SignatureError: A field is missing, stands twice, or the signature is wrong.
        """
        signature, timestamp, nonce, echostr = require(
            parse_query(query), "signature", "timestamp", "nonce", "echostr"
        )
        check_signature(signature, self._token, timestamp.encode(), nonce.encode())
        return echostr.encode()

    def open(self, query: str, body: bytes, received_at_ms: int) -> Event:
        """Verify, decrypt if need be, and decode one callback.

        Raises:
            SignatureError: Not signed with our token, or a clear body where only encrypted ones count.
            ReceiverError: Meant for another account.
            UndecodableError: Not decryptable, or neither the XML nor the JSON of a callback.
            OversizeError: Above what the XML parser takes.
        """
        fields = parse_query(query)
        if self._plain:
            return self._open_plain(fields, body, received_at_ms)
        message = self._decrypt(fields, envelope.encrypted_text(body))
        return self._decode(message, received_at_ms)

    def _decrypt(self, fields: dict[str, str], encrypted: bytes) -> bytes:
        """Return the message in an Encrypt signed by msg_signature."""
        signature, timestamp, nonce = require(fields, "msg_signature", "timestamp", "nonce")
        if self._cipher is None:
            raise UndecodableError("encrypted, and no encoding_aes_key is configured")
        self._cipher.check(signature, timestamp, nonce, encrypted)
        return self._cipher.decrypt(encrypted)

    def _decode(self, message: bytes, received_at_ms: int) -> Event:
        """Decode a decrypted message."""
        usual = xml.text_message(message)
        if usual is not None:
            return text_event(self.channel, usual)
        return self._event(_elements(message), message, received_at_ms)

    def _event(self, elements: Elements, message: bytes, received_at_ms: int) -> Event:
        return event_of(self.channel, elements, content_of(elements, REPORTS), message, received_at_ms)

    def _open_plain(self, fields: dict[str, str], body: bytes, received_at_ms: int) -> Event:
        """Decode a callback of plain mode.

        A body that holds Encrypt as well (the console says compatible or encrypted) is decrypted where
        there is a key, because that part is signed; without a key its clear fields have to do.
        """
        signature, timestamp, nonce = require(fields, "signature", "timestamp", "nonce")
        check_signature(signature, self._token, timestamp.encode(), nonce.encode())
        elements = _elements(body)
        encrypted = envelope.encrypted_element(elements)
        if encrypted and (self._cipher is not None or not word(elements, "MsgType")):
            return self._decode(self._decrypt(fields, encrypted), received_at_ms)
        if self._original_id and word(elements, "ToUserName") != self._original_id:
            raise ReceiverError("meant for another account")
        return self._event(elements, body, received_at_ms)

    def render(self, event: Event, part: Part | None, at_ms: int, query: str) -> bytes:  # noqa: ARG002
        """Return the answer to `event`, encrypted unless the mode is plain; ``success`` acknowledges.

        Raises:
            ValueError: A text above 2048 bytes of UTF-8, or not one to eight articles.
        """
        if part is None:
            return _ACKNOWLEDGEMENT
        reply = render_reply(event, part, at_ms)
        if self._plain or self._cipher is None:
            return reply
        return envelope.seal(self._cipher, reply, at_ms)


def _elements(message: bytes) -> Elements:
    """Return the elements of a clear or decrypted message, in either data format."""
    return json_body.parse(message) if json_body.is_json(message) else xml.parse_message(message)
