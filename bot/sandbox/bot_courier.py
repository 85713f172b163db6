"""An AI bot in callback mode: its callbacks, the answers in their responses, and the polls for streams.

Source: WeCom, AI bot, replies in URL mode.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from bot.sandbox import wire
from bot.sandbox.bot_answers import TO_POLL, BotAnswer, BotAnswerError, read_answer
from bot.sandbox.bot_desk import STREAM_MS
from bot.sandbox.bot_letters import Talk, poll_body
from bot.sandbox.courier import Outcome, lost
from bot.sandbox.faults import POLL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.sandbox.answers import Said
    from bot.sandbox.bot_desk import BotDesk
    from bot.sandbox.courier import Courier, Delivered, Letter, Settings
    from bot.sandbox.faults import FaultBook
    from bot.sandbox.room import Entry, Room, Status
    from bot.sandbox.vendor_clock import VendorClock

TOO_MANY = "3 interactions of this person with the bot are in progress"


class BotCourier:
    """Carries letters to an AI bot's callback address and polls what it began to answer."""

    def __init__(
        self,
        courier: Courier,
        settings: Settings,
        clock: VendorClock,
        faults: FaultBook,
        msg_ids: Iterator[int],
    ) -> None:
        """Deliver through `courier`; polls get their ids from `msg_ids`."""
        self._courier, self._settings, self._clock, self._faults = courier, settings, clock, faults
        self._msg_ids = msg_ids

    async def carry(self, room: Room, desk: BotDesk, letter: Letter, entry: Entry) -> Outcome:
        """Deliver a letter and follow its stream to the end; what came of it stands in `entry`."""
        is_message = not letter.event
        if is_message and not desk.begin(letter.user_id):
            outcome = Outcome("refused", http_status=0, attempts=0, problem=TOO_MANY)
            return record(room, entry, outcome)
        try:
            delivered = await self._courier.deliver(room, letter, entry)
            if delivered is None:
                return record(room, entry, lost())
            return await self._answered(room, desk, letter, delivered)
        finally:
            if is_message:
                desk.end(letter.user_id)

    async def _answered(self, room: Room, desk: BotDesk, letter: Letter, delivered: Delivered) -> Outcome:
        raw, attempts, entry = delivered.raw, delivered.attempts, delivered.entry
        if raw.http_status != 200:
            status: Status = "refused" if raw.http_status else "unavailable"
            problem = raw.problem or f"HTTP {raw.http_status}"
            outcome = Outcome(status, http_status=raw.http_status, attempts=attempts, problem=problem)
            return record(room, entry, outcome)
        try:
            plain = wire.open_bot_answer(room.channel, raw.body, delivered.callback.nonce)
            if plain is None:
                return record(room, entry, Outcome("acknowledged", attempts=attempts))
            answer = read_answer(plain, letter.permitted)
            parts = _shown(room, desk, letter, answer, entry.at_ms)
        except wire.UndecodableAnswerError as error:
            _count(room, "callback", error)
            outcome = Outcome("unavailable", attempts=attempts, problem=str(error))
            return record(room, entry, outcome)
        text = orjson.dumps(plain).decode()
        entry = room.change(entry, status="answered", repeats=attempts - 1, http_status=200, note="")
        if answer.stream is not None and not answer.stream.finish:
            parts, text = await self._follow(room, desk, letter, answer.stream.id, parts, text)
        return record(room, entry, Outcome("answered", parts, text, attempts=attempts))

    async def _follow(
        self,
        room: Room,
        desk: BotDesk,
        letter: Letter,
        stream_id: str,
        parts: tuple[Said, ...],
        text: str,
    ) -> tuple[tuple[Said, ...], str]:
        """Ask for a stream until it is finished or 6 minutes old; return its last state."""
        stream = desk.stream(stream_id)
        assert stream is not None
        while self._clock.now_ms() - stream.started_ms < STREAM_MS:
            await asyncio.sleep(self._settings.poll_interval_s)
            try:
                plain = await self._poll(room, letter, stream_id)
                if plain is None:
                    continue
                answer = read_answer(plain, TO_POLL)
                assert answer.stream is not None
                if answer.stream.id != stream_id:
                    raise BotAnswerError("the answer to a poll has another stream.id")
                now = _shown(room, desk, letter, answer, stream.started_ms)
            except wire.UndecodableAnswerError as error:
                _count(room, "poll", error)
                room.outcomes["polls_unusable"] += 1
                continue
            # A card that came with an earlier frame stays.
            parts, text = (now[0], *(now[1:] or parts[1:])), orjson.dumps(plain).decode()
            if answer.stream.finish:
                return parts, text
        room.violate("stream:six_minutes")
        desk.cut(stream_id, "not finished within 6 minutes")
        return parts, text

    async def _poll(self, room: Room, letter: Letter, stream_id: str) -> object | None:
        """Return what the bot answers to one question, None where nothing came."""
        fault = await self._faults.meet_callback(room.channel.name, POLL)
        room.outcomes["polls"] += 1
        if fault is not None and fault.lost:
            return None
        body = poll_body(
            room.channel,
            Talk(letter.user_id, letter.group_id),
            stream_id,
            msg_id=f"poll-{next(self._msg_ids)}",
        )
        callback = self._courier.seal(room, orjson.dumps(body).decode(), letter.user_id)
        times = 2 if fault is not None and fault.doubled else 1
        raw = None
        for _ in range(times):
            raw = await self._courier.post(room.channel.name, callback.query, callback.body, json=True)
        assert raw is not None
        if raw.http_status != 200:
            room.outcomes["polls_failed"] += 1
            return None
        opened: object | None = wire.open_bot_answer(room.channel, raw.body, callback.nonce)
        return opened


def _shown(room: Room, desk: BotDesk, letter: Letter, answer: BotAnswer, since_ms: int) -> tuple[Said, ...]:
    if answer.kind == "update_template_card":
        card_line = room.find(letter.card_id)
        if card_line is not None:
            desk.update_card(answer, card_line)
        return (answer.said(),)
    lines = desk.show(answer, Talk(letter.user_id, letter.group_id), "passive", since_ms=since_ms)
    said = answer.said()
    if answer.stream is None or answer.card is None:
        return (said,)
    return (said, BotAnswer("template_card", card=answer.card).said()) if len(lines) > 1 else (said,)


def _count(room: Room, endpoint: str, error: wire.UndecodableAnswerError) -> None:
    # A stream that is too old is counted once, when it is cut.
    if isinstance(error, BotAnswerError) and error.limit not in {"", "six_minutes"}:
        room.violate(f"{endpoint}:{error.limit}")


def record(room: Room, entry: Entry, outcome: Outcome) -> Outcome:
    """Write into a line what came of it, count it, and return it."""
    repeats = max(0, outcome.attempts - 1)
    room.outcomes[outcome.status] += 1
    room.outcomes["repeats"] += repeats
    room.change(
        entry,
        status=outcome.status,
        http_status=outcome.http_status,
        repeats=repeats,
        note=outcome.problem,
    )
    return outcome
