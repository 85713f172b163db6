"""What the vendor keeps of one AI bot: interactions in progress, streams, response addresses, cards.

Source: WeCom, AI bot, replies in URL mode and long connection.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.sandbox.answers import describe
from bot.sandbox.bot_answers import BotAnswer, BotAnswerError, StreamFrame
from bot.sandbox.bot_letters import Talk
from bot.sandbox.cards import title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.clock import Clock
    from bot.sandbox.limits import Rate
    from bot.sandbox.room import Chat, Entry, GroupChat, Room, Route

MOST_INTERACTIONS = 3
"""Interactions in progress per user and bot."""
STREAM_MS = 6 * 60_000
"""How long a stream may go on, milliseconds."""
RESPONSE_URL_MS = 3_600_000
"""How long a response_url takes its one answer, milliseconds."""
_KEPT = 10_000


@dataclass(slots=True)
class Stream:
    """One stream: its line in the transcript, where it stands, since when its time runs (Unix ms)."""

    entry: Entry
    talk: Talk
    started_ms: int
    finished: bool = False
    has_card: bool = False


@dataclass(slots=True)
class _Address:
    talk: Talk
    until_ms: int
    used: bool = False


class BotDesk:
    """The state of one AI bot."""

    def __init__(self, room: Room, clock: Clock) -> None:
        """Keep the state of the bot in `room`."""
        self._room, self._clock = room, clock
        self._in_progress: Counter[str] = Counter()
        self._streams: dict[str, Stream] = {}
        self._addresses: dict[str, _Address] = {}

    # ------------------------------------------------------------ interactions

    def begin(self, user_id: str) -> bool:
        """Count an interaction in progress, or return False where the user has the most already."""
        if self._in_progress[user_id] >= MOST_INTERACTIONS:
            return False
        self._in_progress[user_id] += 1
        return True

    def end(self, user_id: str) -> None:
        """Count it as over."""
        self._in_progress[user_id] -= 1

    def in_progress(self, user_id: str) -> int:
        """Return how many interactions of a user are in progress, 0 to 3."""
        return self._in_progress[user_id]

    # ------------------------------------------------------------ response addresses

    def new_address(self, talk: Talk) -> str:
        """Return the response_code of a message's response_url, good once within the hour."""
        code = secrets.token_urlsafe(24)
        self._addresses[code] = _Address(talk, self._clock.now_ms() + RESPONSE_URL_MS)
        if len(self._addresses) > _KEPT:
            del self._addresses[next(iter(self._addresses))]
        return code

    def spend_address(self, code: str) -> Talk:
        """Return where an address speaks, and use it up.

        Raises:
            BotAnswerError: Unknown, used already, or older than an hour.
        """
        address = self._addresses.get(code)
        if address is None:
            raise BotAnswerError("invalid response_code")
        if address.used:
            raise BotAnswerError("response_code was used already", "used_twice")
        if self._clock.now_ms() >= address.until_ms:
            raise BotAnswerError("response_code is older than an hour", "one_hour")
        address.used = True
        return address.talk

    def has_address(self, code: str) -> bool:
        """Whether this bot was given that response_code."""
        return code in self._addresses

    # ------------------------------------------------------------ saying

    def place(self, talk: Talk) -> Chat | GroupChat:
        """Return the chat that is spoken in."""
        return self._room.group(talk.group_id) if talk.group_id else self._room.chat(talk.user_id)

    def rate(self, talk: Talk) -> Rate:
        """Return what the bot may send there on the long connection."""
        return self.place(talk).bot_rate

    def show(
        self, answer: BotAnswer, talk: Talk, route: Route, *, since_ms: int | None = None
    ) -> tuple[Entry, ...]:
        """Write an answer into the transcript and return its lines as they stand now.

        The 6 minutes of a stream count from `since_ms`, by default from its first frame.

        Raises:
            BotAnswerError: A stream goes on after its end, after 6 minutes, or somewhere else.
        """
        lines: tuple[Entry, ...] = ()
        if answer.stream is not None:
            lines = (self._stream(answer.stream, talk, route, since_ms),)
            if answer.card is not None:
                stream = self._streams[answer.stream.id]
                if stream.has_card:
                    raise BotAnswerError("one message gets one card", "one_card")
                stream.has_card = True
        if answer.card is not None:
            return (*lines, self._write(answer, talk, route, "template_card", answer.card))
        return lines or (self._write(answer, talk, route, answer.kind, answer.body),)

    def update_card(self, answer: BotAnswer, entry: Entry) -> Entry:
        """Put a card in the place of another one, for everyone or for some, and return its line."""
        assert answer.card is not None
        now = self._room.find(entry.id) or entry
        if answer.card.get("task_id") not in {None, now.fields.get("task_id")}:
            self._room.violate("update_template_card:task_id_changed")
        if answer.user_ids and entry.group_id:
            changed = dict.fromkeys(answer.user_ids, answer.card)
            return self._room.change(now, versions={**now.versions, **changed})
        text = describe("template_card", title_of(answer.card))
        return self._room.change(now, fields=answer.card, text=text, versions={})

    # ------------------------------------------------------------ streams

    def stream(self, stream_id: str) -> Stream | None:
        """Return a stream by the id its bot chose."""
        return self._streams.get(stream_id)

    def sweep(self) -> None:
        """Cut, and count, every stream that its bot left unfinished for 6 minutes."""
        now_ms = self._clock.now_ms()
        for stream_id, stream in self._streams.items():
            if not stream.finished and now_ms - stream.started_ms >= STREAM_MS:
                self.cut(stream_id, "not finished within 6 minutes")
                self._room.violate("stream:six_minutes")

    def cut(self, stream_id: str, note: str) -> None:
        """End a stream that its bot did not finish."""
        stream = self._streams[stream_id]
        stream.finished = True
        stream.entry = self._room.change(stream.entry, status="unfinished", note=note)

    def _stream(self, frame: StreamFrame, talk: Talk, route: Route, since_ms: int | None) -> Entry:
        stream, now_ms = self._streams.get(frame.id), self._clock.now_ms()
        if stream is not None:
            self._check(stream, talk, now_ms)
        fields: dict[str, Any] = {"id": frame.id, "finish": frame.finish}
        if frame.images:
            fields["images"] = frame.images
        # The first answer of a stream sets its feedback id; later ones cannot change it.
        feedback_id = stream.entry.fields.get("feedback") if stream else frame.feedback_id
        if feedback_id:
            fields["feedback"] = feedback_id
        status = "received" if frame.finish else "writing"
        if stream is None:
            entry = self._room.write(
                talk.user_id, "bot", route, at_ms=now_ms, kind="stream", text=frame.content,
                fields=fields, status=status, group_id=talk.group_id,
            )  # fmt: skip
            self._streams[frame.id] = Stream(
                entry, talk, now_ms if since_ms is None else since_ms, frame.finish
            )
            if len(self._streams) > _KEPT:
                del self._streams[next(iter(self._streams))]
            return entry
        stream.finished = frame.finish
        stream.entry = self._room.change(stream.entry, text=frame.content, fields=fields, status=status)
        return stream.entry

    def _check(self, stream: Stream, talk: Talk, now_ms: int) -> None:
        if stream.talk != talk:
            raise BotAnswerError("stream.id belongs to another message", "stream_id_reused")
        if stream.finished:
            raise BotAnswerError("the stream is finished", "after_finish")
        if now_ms - stream.started_ms >= STREAM_MS:
            raise BotAnswerError("the stream is older than 6 minutes", "six_minutes")

    def _write(
        self, answer: BotAnswer, talk: Talk, route: Route, kind: str, body: Mapping[str, Any]
    ) -> Entry:
        said = answer.said() if answer.stream is None else None
        text = said.text if said else describe("template_card", title_of(body))
        fields = dict(body)
        if answer.feedback_id:
            fields["feedback"] = answer.feedback_id
        return self._room.write(
            talk.user_id, "bot", route, at_ms=self._clock.now_ms(), kind=kind, text=text, fields=fields,
            group_id=talk.group_id,
        )  # fmt: skip
