"""The self-built WeCom app (自建应用): always encrypted, one receiver, one agent.

Source: WeCom, callback security; self-built app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.errors import ReceiverError
from bot.platforms import xml
from bot.platforms.codec import content_of, event_of, text_event
from bot.platforms.crypto import CallbackCipher
from bot.platforms.elements import word
from bot.platforms.envelope import encrypted_text, seal
from bot.platforms.query import parse_query, require
from bot.platforms.replies import TEXT_LIMIT_BYTES, render_reply
from bot.platforms.wecom.codec import REPORTS

if TYPE_CHECKING:
    from bot.model import Event, Part


class WecomApp:
    """One self-built app as a `bot.platforms.protocol.Platform`."""

    kind = "wecom_app"
    content_type = "application/xml"
    text_limit_bytes = TEXT_LIMIT_BYTES
    streams = None

    def __init__(
        self, *, channel: str, corp_id: str, agent_id: int, token: str, encoding_aes_key: str
    ) -> None:
        """Set up one app.

        Args:
            channel: Name of the channel.
            corp_id: The company's id, which is the receiver id of every callback.
            agent_id: The app's AgentId.
            token: Token of the app's message receiver (接收消息).
            encoding_aes_key: EncodingAESKey of the same, 43 characters.

        Raises:
            ValueError: `encoding_aes_key` is none.
        """
        self.channel = channel
        self._agent_id = str(agent_id)
        self._cipher = CallbackCipher(token, encoding_aes_key, corp_id)

    def verify_url(self, query: str) -> bytes:
        """Return the decrypted echostr alone, as the console demands within a second.

        Raises:
            SignatureError: A field is missing, stands twice, or the signature is wrong.
            UndecodableError: echostr is not ours to decrypt.
            ReceiverError: It was meant for another company.
        """
        signature, timestamp, nonce, echostr = require(
            parse_query(query), "msg_signature", "timestamp", "nonce", "echostr"
        )
        encrypted = echostr.encode()
        self._cipher.check(signature, timestamp, nonce, encrypted)
        return self._cipher.decrypt(encrypted)

    def open(self, query: str, body: bytes, received_at_ms: int) -> Event:
        """Verify, decrypt and decode one callback.

        Raises:
            SignatureError: Not signed with our token.
            ReceiverError: Meant for another company or another app of ours.
            UndecodableError: Not decryptable, or not the XML of a callback.
            OversizeError: Above what the XML parser takes.
        """
        signature, timestamp, nonce = require(parse_query(query), "msg_signature", "timestamp", "nonce")
        encrypted = encrypted_text(body)
        self._cipher.check(signature, timestamp, nonce, encrypted)
        message = self._cipher.decrypt(encrypted)
        usual = xml.text_message(message)
        if usual is None:
            return self._decode(message, received_at_ms)
        self._check_agent(usual.agent_id)
        return text_event(self.channel, usual)

    def _decode(self, message: bytes, received_at_ms: int) -> Event:
        """Decode any message but the usual text."""
        elements = xml.parse_message(message)
        self._check_agent(word(elements, "AgentID"))
        return event_of(self.channel, elements, content_of(elements, REPORTS), message, received_at_ms)

    def _check_agent(self, agent_id: str) -> None:
        """Accept our own AgentID or none; some events have none."""
        if agent_id not in ("", self._agent_id):
            raise ReceiverError("meant for another app")

    def render(self, event: Event, part: Part | None, at_ms: int, query: str) -> bytes:  # noqa: ARG002
        """Return the encrypted answer to `event`; empty bytes are the acknowledgement.

        Raises:
            ValueError: A text above 2048 bytes of UTF-8, or not one to eight articles.
        """
        return b"" if part is None else seal(self._cipher, render_reply(event, part, at_ms), at_ms)
