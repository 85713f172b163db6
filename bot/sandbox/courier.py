"""One callback from its first delivery to its end: posted, repeated, judged and written down.

Source: WeCom, message delivery; Official Account, delivery rules.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.sandbox import wire
from bot.sandbox.answers import TEXT_LIMIT_BYTES, Said, cut, read_passive
from bot.sandbox.post import Postman, RawAnswer

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.sandbox.letters import Fields
    from bot.sandbox.room import Entry, Room, Status

UNAVAILABLE_NOTICE = "该公众号暂时无法提供服务，请稍后再试"
"""What a follower of an Official Account reads when no usable answer came."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How patient and how strict the vendor is.

    Attributes:
        answer_timeout_s: Seconds until a callback's connection is cut.
        repeats: Further deliveries after one without an answer or with a status other than 200.
        repeat_pause_s: Seconds before a repeat; the vendors' real spacing is unknown.
        token_lifetime_s: Life of an access token.
        token_grace_s: How long a superseded token of an Official Account works on.
    """

    answer_timeout_s: float = 5.0
    repeats: int = 3
    repeat_pause_s: float = 0.5
    token_lifetime_s: float = 7200.0
    token_grace_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one callback ended.

    Attributes:
        status: answered; acknowledged (nothing said); refused (the last delivery had a status other than
            200); unavailable (no answer in time, or one that the vendor cannot use).
        parts: What the bot said: nothing or one thing.
        plaintext: Inner XML of the answer, as decrypted; "" for none.
        http_status: Of the last delivery; 0 when no answer came.
        attempts: Deliveries made, 1 or more.
        problem: Why, for refused and unavailable.
    """

    status: Status
    parts: tuple[Said, ...] = ()
    plaintext: str = ""
    http_status: int = 200
    attempts: int = 1
    problem: str = ""

    @property
    def text(self) -> str:
        """The words of the answer, "" for none."""
        return "\n".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Letter:
    """One happening to be delivered.

    Attributes:
        inner: The vendor's inner XML.
        user_id: Whom it comes from, or in whose chat it stands.
        kind: The vendor's message type, or event.
        text: Its words, or one readable line.
        fields: The vendor's fields that were asked for.
        answerable: Whether the vendor shows a passive answer to it.
    """

    inner: str
    user_id: str
    kind: str
    text: str
    fields: Fields
    answerable: bool = True


class Courier:
    """Carries letters to the bot and the answers back into the transcript."""

    def __init__(self, callback_base: str, settings: Settings, clock: Clock) -> None:
        """Carry to ``/callback/<channel>`` below `callback_base` (scheme://host:port)."""
        self.callback_base = callback_base
        self._settings, self._clock = settings, clock
        self._postman = Postman()

    async def carry(self, room: Room, letter: Letter, entry: Entry) -> Outcome:
        """Deliver a letter, repeat it as the vendors do, and write into `entry` what came of it."""
        callback = self.seal(room, letter.inner, letter.user_id)
        attempts = 0
        while True:
            attempts += 1
            raw = await self.post(room.channel.name, callback.query, callback.body)
            if raw.http_status == 200 or attempts > self._settings.repeats:
                break
            entry = room.change(entry, repeats=attempts, note=raw.problem or f"HTTP {raw.http_status}")
            await asyncio.sleep(self._settings.repeat_pause_s)
            # Nobody knows whether the vendors sign repeats anew. So the first repeat has the same
            # bytes and later ones a new nonce, time and ciphertext: a receiver must bear both.
            if attempts > 1:
                callback = self.seal(room, letter.inner, letter.user_id)
        outcome = _judge(room, letter, raw, attempts)
        self._record(room, entry, outcome)
        return outcome

    def seal(self, room: Room, inner: str, user_id: str) -> wire.Callback:
        """Return the callback of any inner XML, signed and encrypted as the channel demands."""
        now_s = self._clock.now_ms() // 1000
        return wire.seal(room.channel, inner, timestamp_s=now_s, openid=user_id)

    async def post(self, channel: str, query: str, body: bytes) -> RawAnswer:
        """Post any bytes to a channel's callback address, once."""
        url = self._url(channel)
        return await self._postman.post(url, query, body, timeout_s=self._settings.answer_timeout_s)

    async def get(self, channel: str, query: str, *, timeout_s: float) -> RawAnswer:
        """Ask a channel's callback address for the verification."""
        return await self._postman.get(self._url(channel), query, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._postman.close()

    def _url(self, channel: str) -> str:
        return f"{self.callback_base.rstrip('/')}/callback/{quote(channel, safe='')}"

    def _record(self, room: Room, entry: Entry, outcome: Outcome) -> None:
        repeats = outcome.attempts - 1
        room.outcomes[outcome.status] += 1
        room.outcomes["repeats"] += repeats
        room.change(
            entry,
            status=outcome.status,
            http_status=outcome.http_status,
            repeats=repeats,
            note=outcome.problem,
        )
        now_ms = self._clock.now_ms()
        for part in outcome.parts:
            text = cut(part.text) if part.kind == "text" else part.text
            whole = text == part.text
            room.write(
                entry.user_id,
                "bot",
                "passive",
                at_ms=now_ms,
                kind=part.kind,
                text=text,
                fields=part.fields,
                status="received" if whole else "truncated",
                note="" if whole else f"cut to {TEXT_LIMIT_BYTES} bytes",
            )
        if outcome.status in {"refused", "unavailable"} and room.channel.kind == "wechat_oa":
            room.write(entry.user_id, "vendor", "notice", at_ms=now_ms, kind="text", text=UNAVAILABLE_NOTICE)


def _judge(room: Room, letter: Letter, raw: RawAnswer, attempts: int) -> Outcome:
    """Return what a vendor makes of the last delivery's answer."""
    if raw.http_status == 0:
        return Outcome("unavailable", http_status=0, attempts=attempts, problem=raw.problem)
    if raw.http_status != 200:
        problem = f"HTTP {raw.http_status}"
        return Outcome("refused", http_status=raw.http_status, attempts=attempts, problem=problem)
    try:
        plaintext = wire.open_answer(room.channel, raw.body)
        if not plaintext:
            return Outcome("acknowledged", attempts=attempts)
        said = read_passive(room.channel, letter.user_id, plaintext)
    except wire.UndecodableAnswerError as error:
        return Outcome("unavailable", attempts=attempts, problem=str(error))
    if not letter.answerable:
        problem = "the vendor shows no answer to this event"
        return Outcome("acknowledged", plaintext=plaintext, attempts=attempts, problem=problem)
    return Outcome("answered", (said,), plaintext, attempts=attempts)
