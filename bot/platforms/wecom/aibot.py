"""The AI bot (智能机器人) in callback mode: JSON inside the usual cipher, no receiver id, streams as answers.

An answer is a stream. One that is ready is finished in the answer to the message itself; one that is late is
begun there and polled for, every second or so for six minutes: `streams`.

Source: WeCom, AI bot; callback security, JSON flavour for the AI bot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from bot.errors import SignatureError, UndecodableError
from bot.model import CardClicked, CardUpdate, Entered, Event, Markdown, Part, TemplateCard, Text
from bot.part_codec import encodable
from bot.platforms.crypto import CallbackCipher
from bot.platforms.protocol import Poll, StreamTexts
from bot.platforms.query import parse_query, require
from bot.platforms.wecom.aibot_bodies import card_body, stream_body, text_body, update_body
from bot.platforms.wecom.aibot_codec import decode
from bot.platforms.wecom.aibot_media import decrypt_media
from bot.platforms.wecom.card_json import card_json

CONTENT_LIMIT_BYTES = 20_480
MOST_OPEN_STREAMS = 3  # interactions in progress per user and bot
_UTF8_MOST_BYTES = 4
_ACKNOWLEDGEMENT = b""


class WecomAibot:
    """One AI bot as a `bot.platforms.protocol.Platform`."""

    kind = "wecom_aibot"
    content_type = "application/json"
    text_limit_bytes = CONTENT_LIMIT_BYTES

    def __init__(
        self,
        *,
        channel: str,
        token: str,
        encoding_aes_key: str,
        stream_name: Callable[[Event], str],
        texts: StreamTexts,
    ) -> None:
        """Set up one bot.

        Args:
            channel: Name of the channel.
            token: Token of the bot's callback address.
            encoding_aes_key: EncodingAESKey of the same, 43 characters; the media of messages are encrypted
                with it too.
            stream_name: Names the stream that answers an event; see `bot.platforms.protocol.Streams`.
            texts: What streams say of themselves.

        Raises:
            ValueError: `encoding_aes_key` is none.
        """
        self.channel = channel
        self._encoding_aes_key = encoding_aes_key
        self._cipher = CallbackCipher(token, encoding_aes_key, "")
        self._stream_name = stream_name
        self.streams = AibotStreams(self._cipher, stream_name, texts)

    def verify_url(self, query: str) -> bytes:
        """Return the decrypted echostr alone, as the console demands within a second.

        Raises:
            SignatureError: A field is missing, stands twice, or the signature is wrong.
            UndecodableError: echostr is not ours to decrypt.
            ReceiverError: It was meant for an app.
        """
        signature, timestamp, nonce, echostr = require(
            parse_query(query), "msg_signature", "timestamp", "nonce", "echostr"
        )
        encrypted = echostr.encode()
        self._cipher.check(signature, timestamp, nonce, encrypted)
        return self._cipher.decrypt(encrypted)

    def open(self, query: str, body: bytes, received_at_ms: int) -> Event | Poll:
        """Verify, decrypt and decode one callback.

        Raises:
            SignatureError: Not signed with our token.
            ReceiverError: Meant for an app.
            UndecodableError: Not decryptable, or not the JSON of a callback.
        """
        signature, timestamp, nonce = require(parse_query(query), "msg_signature", "timestamp", "nonce")
        encrypted = _encrypted(body)
        self._cipher.check(signature, timestamp, nonce, encrypted)
        message = _object(self._cipher.decrypt(encrypted), "the message")
        url = message.get("response_url")
        return decode(self.channel, message, received_at_ms, url if isinstance(url, str) else "")

    def render(self, event: Event, part: Part | None, at_ms: int, query: str) -> bytes:
        """Return the encrypted answer to `event`; empty bytes are the acknowledgement.

        A text or Markdown answers a message as a finished stream, and the opening of the chat, which takes
        none, as plain text.

        Raises:
            ValueError: A text above 20480 bytes of UTF-8, a card that breaks a limit, or a part of a kind
                that does not answer such an event.
        """
        if part is None:
            return _ACKNOWLEDGEMENT
        return seal(self._cipher, self._answer(event, part), at_ms, query)

    def _answer(self, event: Event, part: Part) -> dict[str, Any]:
        if isinstance(part, CardUpdate):
            return update_body(part, event.user_id)
        if isinstance(event.content, CardClicked):
            raise ValueError(  # noqa: TRY004 - of its kinds, not of its Python type
                f"a click on a card is answered by a card_update, not by {part.kind}"
            )
        if isinstance(part, TemplateCard):
            return card_body(part)
        if isinstance(event.content, Entered):
            return text_body(_content(part))
        return stream_body(self._stream_name(event), _content(part), finish=True)

    def decrypt_media(self, data: bytes, aes_key: str = "") -> bytes:
        """Return the bytes of a picture, file or video fetched from the link in a message.

        Raises:
            UndecodableError: They are not whole, or encrypted with another key.
        """
        return decrypt_media(data, aes_key or self._encoding_aes_key)


class AibotStreams:
    """How an AI bot polls for late answers, as `bot.platforms.protocol.Streams`."""

    most_open = MOST_OPEN_STREAMS

    def __init__(
        self, cipher: CallbackCipher, stream_name: Callable[[Event], str], texts: StreamTexts
    ) -> None:
        self._cipher = cipher
        self._stream_name = stream_name
        self.texts = texts

    def name(self, event: Event) -> str:
        """Return the name of the stream that answers `event`; empty for a report, which takes none."""
        return self._stream_name(event) if event.is_message else ""

    def takes(self, event: Event, part: Part) -> bool:
        """Whether `part` answers `event`: a click takes a card update alone, which nothing else does."""
        content = event.content
        try:
            if isinstance(content, CardClicked) or isinstance(part, CardUpdate):
                if not (isinstance(content, CardClicked) and isinstance(part, CardUpdate)):
                    return False
                card_json(part.card)
            elif isinstance(part, TemplateCard):
                card_json(part)
            else:
                _content(part)
        except ValueError:
            return False
        return True

    def render(self, stream_id: str, part: Part, at_ms: int, query: str, *, finished: bool) -> bytes:
        """Return the encrypted state of a stream; a card comes with its finish, below a short text.

        Raises:
            ValueError: A text above 20480 bytes of UTF-8, a card that breaks a limit, or another kind.
        """
        if isinstance(part, TemplateCard):
            answer = stream_body(stream_id, self.texts.done, finish=finished)
            answer |= card_body(part) | {"msgtype": "stream_with_template_card"}
        else:
            answer = stream_body(stream_id, _content(part), finish=finished)
        return seal(self._cipher, answer, at_ms, query)


def seal(cipher: CallbackCipher, answer: dict[str, Any], at_ms: int, query: str) -> bytes:
    """Return the encrypted and signed answer, with the nonce of the request that is answered.

    Characters that UTF-8 cannot carry (half of a surrogate pair) become question marks.
    """
    nonce = parse_query(query).get("nonce", "")
    timestamp_s = at_ms // 1000
    try:
        plain = orjson.dumps(answer)
    except orjson.JSONEncodeError:
        plain = orjson.dumps(encodable(answer))
    encrypted = cipher.encrypt(plain)
    signature = cipher.sign(b"%d" % timestamp_s, nonce.encode(), encrypted)
    return orjson.dumps(
        {
            "encrypt": encrypted.decode(),
            "msgsignature": signature.decode(),
            "timestamp": timestamp_s,
            "nonce": nonce,
        }
    )


def _content(part: Part) -> str:
    if not isinstance(part, Text | Markdown):
        raise ValueError(  # noqa: TRY004 - of its kinds, not of its Python type
            f"an AI bot answers with text, Markdown or a card, not with {part.kind}"
        )
    text = part.text
    if len(text) * _UTF8_MOST_BYTES > CONTENT_LIMIT_BYTES:  # only what could be too long is measured
        size = len(text.encode("utf-8", "replace"))
        if size > CONTENT_LIMIT_BYTES:
            raise ValueError(f"a text of {size} bytes; a stream holds {CONTENT_LIMIT_BYTES}")
    return text


def _encrypted(body: bytes) -> bytes:
    """Return the base64 text in the JSON shell of a callback; the shell itself is not signed.

    Raises:
        UndecodableError: The shell is no JSON object, or `encrypt` no text.
        SignatureError: It holds no `encrypt`: what msg_signature would cover is not there.
    """
    encrypted = _object(body, "the body").get("encrypt", "")
    if not isinstance(encrypted, str):
        raise UndecodableError("encrypt is not a text")
    if not encrypted:
        raise SignatureError("the body is not encrypted")
    return encrypted.encode()


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise UndecodableError(f"{what} is broken JSON") from None
    if not isinstance(value, dict):
        raise UndecodableError(f"{what} is no JSON object")
    return value
