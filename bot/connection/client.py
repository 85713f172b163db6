"""Sends through the long connection: which frame carries which part of a delivery.

=====================  ============================  ====================================================
in answer to           the first part goes as        otherwise, and every further part
=====================  ============================  ====================================================
a message              aibot_respond_msg, 24 hours   aibot_send_msg to its chat
the opening of a chat  aibot_respond_welcome_msg, 5  aibot_send_msg, which reaches whoever wrote before
                       s
the click on a card    aibot_respond_update_msg, 5   a `CardUpdate` has no other way; the rest goes by
                       s, for a `CardUpdate`         aibot_send_msg, since no stream may answer a click
nothing (unprompted)                                 aibot_send_msg
=====================  ============================  ====================================================

A stream is named after its delivery and part, so a frame that is sent again, because its acknowledgement
got lost, replaces what is there, or the platform says that this stream is over (846608): then it has the
answer. `aibot_send_msg` has no such name: a person may read that one part twice when the connection breaks
between the platform's act and its acknowledgement. That is the one window for a duplicate.

Where the platform does not know the req_id (any more), errcode 846605, the next attempt is a message of our
own; it is another attempt so that the courier asks for its pace.

Source: WeCom, AI bot, long connection; 846608 is known from clients of the vendor's ecosystem only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from bot.answer_ids import answer_id
from bot.clock import Clock
from bot.connection import uploads
from bot.connection.answer_to import AnswerTo, Kind, read_answer_to
from bot.connection.bodies import message_body, update_body, welcome_body
from bot.connection.frames import Command
from bot.connection.session import KIND, Session
from bot.delivery.client import NotReachedError, Receiver, SendReceipt
from bot.delivery.media import MediaPart, MediaShelf, Uploads
from bot.errors import BotError, PlatformApiError, PlatformUnreachableError
from bot.model import CardUpdate, Event, Markdown, Part, TemplateCard, Text
from bot.platforms.wecom.aibot_bodies import stream_body
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceStore
from bot.storage.sql.blobs import Blob

ANSWER_MS = 24 * 3_600_000
AT_ONCE_MS = 5_000  # of a welcome and of a card's update
STREAM_MS = 6 * 60_000
_MARGIN_MS = 500  # for the way
_STREAM_MARGIN_MS = 10_000
BAD_REQ_ID = 846605
STREAM_OVER = 846608
_TOO_FREQUENT = 45011
_MOST_REMEMBERED = 10_000

Rates = Sequence[tuple[int, int]]  # at most so many, in so many ms


class ConnectionClient:
    """One AI bot's long connection as an `ActiveClient`; it sends while `session` gives one."""

    kind = KIND

    def __init__(
        self,
        redis: RedisClient,
        keys: Keys,
        pace: PaceStore,
        clock: Clock,
        shelf: MediaShelf,
        *,
        channel: str,
        account: str,
        rates: Rates,
        session: Callable[[], Session | None],
    ) -> None:
        """Send for `channel`; `rates` are those of one chat, `account` tells bots and their media apart."""
        self.channel = channel
        self._redis = redis
        self._keys = keys
        self._pace = pace
        self._clock = clock
        self._uploads = Uploads(
            shelf,
            self._upload,
            platform=KIND,
            account=f"{channel}:{account}",
            endpoint=Command.SEND,
            rules=uploads.RULES,
        )
        self._rates = rates
        self._session = session
        self._refused = _Lately()  # req_ids the platform does not know any more
        self._finished = _Lately()  # streams whose last frame is on its way or gone

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:  # noqa: ARG002
        """Send one part.

        Raises:
            NotReachedError: The update of a card whose moment has passed.
            UnsendableError: The platform never takes this part.
            PlatformApiError: Refused.
            PlatformUnreachableError: Not connected, or no acknowledgement; a stream is then sent again under
                its own name.
            StoreUnavailableError: A store is away; nothing was sent.
        """
        session = self._connected()
        answer_to = read_answer_to(receiver.answer_to)
        if answer_to is None or receiver.part_number or answer_to.req_id in self._refused:
            answer_to = None
        if isinstance(part, CardUpdate):
            return await self._update(session, receiver, part, answer_to)
        if answer_to is not None and answer_to.kind is Kind.ENTER and self._is_prompt(answer_to):
            if isinstance(part, Text | Markdown | TemplateCard):
                return await self._answer(session, Command.WELCOME, welcome_body(part), answer_to)
        elif answer_to is not None and answer_to.kind is Kind.MESSAGE:
            if isinstance(part, Text | Markdown):
                stream_id = _stream_id(receiver.delivery_id)
                if await self._may_finish(stream_id, answer_to):
                    self._finished.add(stream_id)
                    body = stream_body(stream_id, part.text, finish=True)
                    return await self._finish_stream(session, body, answer_to)
            elif self._age_ms(answer_to) < ANSWER_MS - _STREAM_MARGIN_MS:
                answer = partial(self._answer, session, Command.RESPOND, answer_to=answer_to)
                return await self._with_media(part, answer)
        return await self._with_media(part, partial(self._say, session, receiver))

    async def show_waiting(self, event: Event, text: str) -> bool:
        """Begin the stream that will answer a message whose handler is late; whether it was begun.

        It counts as a message to the chat. Where the pace, the platform or the connection does not allow it,
        nothing is lost: the answer itself comes all the same.
        """
        answer_to = read_answer_to(event.answer_to)
        if answer_to is None or answer_to.kind is not Kind.MESSAGE:
            return False
        chat, now_ms = f"{self.channel}:{event.group_id or event.user_id}", self._clock.now_ms()
        stream_id = _stream_id(answer_id(event.id))
        try:
            session = self._connected()
            if (await self._pace.ask(chat, now_ms, self._rates)).wait_until_ms:
                return False
            # Before the frame: whoever finishes the stream, in another process too, must know that it runs.
            await self._redis.call("SET", self._begun(stream_id), now_ms, "PX", ANSWER_MS)
            if stream_id in self._finished:
                return False
            body = stream_body(stream_id, text, finish=False)
            await session.request(Command.RESPOND, body, req_id=answer_to.req_id)
        except BotError:
            return False
        return True

    async def close(self) -> None:
        """Give up uploads; the connection is the keeper's."""
        await self._uploads.close()

    # ------------------------------------------------------------ ways

    async def _update(
        self, session: Session, receiver: Receiver, part: CardUpdate, answer_to: AnswerTo | None
    ) -> SendReceipt:
        if answer_to is None or answer_to.kind is not Kind.CARD or not self._is_prompt(answer_to):
            raise NotReachedError(platform=KIND, endpoint=Command.UPDATE, reason="too_late")
        return await self._answer(session, Command.UPDATE, update_body(part, receiver.user_id), answer_to)

    async def _finish_stream(
        self, session: Session, body: dict[str, Any], answer_to: AnswerTo
    ) -> SendReceipt:
        """Send a stream's last frame.

        No last frame is sent to a stream that has run for six minutes, so one that is over nevertheless was
        finished by an earlier attempt.
        """
        try:
            return await self._answer(session, Command.RESPOND, body, answer_to)
        except PlatformApiError as error:
            if error.errcode != STREAM_OVER:
                raise
        return SendReceipt("")

    async def _answer(
        self, session: Session, command: Command, body: dict[str, Any], answer_to: AnswerTo
    ) -> SendReceipt:
        try:
            await session.request(command, body, req_id=answer_to.req_id)
        except PlatformApiError as error:
            if error.errcode == BAD_REQ_ID:
                self._refused.add(answer_to.req_id)
            raise
        return SendReceipt("")

    async def _say(self, session: Session, receiver: Receiver, body: dict[str, Any]) -> SendReceipt:
        chat_id, chat_type = (receiver.group_id, 2) if receiver.group_id else (receiver.user_id, 1)
        await session.request(Command.SEND, {"chatid": chat_id, "chat_type": chat_type, **body})
        return SendReceipt("")

    async def _with_media(
        self, part: Part, send: Callable[[dict[str, Any]], Awaitable[SendReceipt]]
    ) -> SendReceipt:
        """Send a part as a message, after its bytes where it has any."""
        if isinstance(part, MediaPart):
            return await self._uploads.send(part, lambda media_id: send(message_body(part, media_id)))
        return await send(message_body(part))

    async def _upload(self, kind: str, blob: Blob, file_name: str) -> dict[str, Any]:
        leave = await self._pace.ask(f"{self.channel}:upload", self._clock.now_ms(), uploads.RATES)
        if leave.wait_until_ms:
            raise PlatformApiError(
                platform=KIND, endpoint=Command.UPLOAD_INIT, errcode=_TOO_FREQUENT, errmsg="enough for now"
            )
        return await uploads.upload(self._connected(), kind, blob.content, file_name)

    async def _may_finish(self, stream_id: str, answer_to: AnswerTo) -> bool:
        """Whether the stream that answers a message is still open, or may still be begun."""
        age_ms = self._age_ms(answer_to)
        if age_ms < STREAM_MS - _STREAM_MARGIN_MS:
            return True  # it cannot have run for longer than the message is old
        if age_ms >= ANSWER_MS - _STREAM_MARGIN_MS:
            return False
        begun: bytes | None = await self._redis.call("GET", self._begun(stream_id))
        return begun is None or self._clock.now_ms() - int(begun) < STREAM_MS - _STREAM_MARGIN_MS

    def _begun(self, stream_id: str) -> str:
        return self._keys.shared("stream", self.channel, stream_id)

    def _is_prompt(self, answer_to: AnswerTo) -> bool:
        return self._age_ms(answer_to) < AT_ONCE_MS - _MARGIN_MS

    def _age_ms(self, answer_to: AnswerTo) -> int:
        return self._clock.now_ms() - answer_to.received_at_ms

    def _connected(self) -> Session:
        session = self._session()
        if session is None or session.over.is_set():
            raise PlatformUnreachableError(platform=KIND, endpoint="long connection", problem="not connected")
        return session


class _Lately:
    """Names met lately; of too many, the oldest are forgotten."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > _MOST_REMEMBERED:
            self._names.popitem(last=False)

    def __contains__(self, name: str) -> bool:
        return name in self._names


def _stream_id(delivery_id: str) -> str:
    """Return the name of the stream that carries the first part of a delivery."""
    return f"{delivery_id}-0"
