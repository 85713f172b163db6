"""One callback from its first delivery to its end: posted, repeated, judged and written down.

Source: WeCom, message delivery; Official Account, delivery rules.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from bot.sandbox import wire
from bot.sandbox.answers import CARD_ANSWERS, TEXT_LIMIT_BYTES, Said, cut, read_passive
from bot.sandbox.cards import card_of_xml
from bot.sandbox.post import Postman, RawAnswer
from bot.sandbox.sends import replace_card

if TYPE_CHECKING:
    from bot.sandbox.faults import Fault, FaultBook
    from bot.sandbox.room import Entry, Room, Status
    from bot.sandbox.vendor_clock import VendorClock

UNAVAILABLE_NOTICE = "该公众号暂时无法提供服务，请稍后再试"
"""What a follower of an Official Account reads when no usable answer came."""
_REORDER_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How patient and how strict the vendor is.

    Attributes:
        answer_timeout_s: Seconds until a callback's connection is cut.
        repeats: Further deliveries after one without an answer or with a status other than 200.
        repeat_pause_s: Seconds before a repeat; the vendors' real spacing is unknown.
        token_lifetime_s: Life of an access token.
        token_grace_s: How long a superseded token of an Official Account works on.
        poll_interval_s: Seconds between two questions for an AI bot's stream.
        answer_patience_s: How long `Sandbox.say` waits for an answer through a long connection.
        ack_delay_s: Seconds until a frame of a stream is acknowledged on a long connection, so that a
            bot that does not wait for that is found out.
        subscribes_per_minute: Subscriptions of one AI bot; the vendor's real number is not published.
        away_s: How long the vendor keeps messages for an AI bot without a connection; 0 is not at all.
        company_accounts: Accounts of the company, which cap an app's messages per day.
    """

    answer_timeout_s: float = 5.0
    repeats: int = 3
    repeat_pause_s: float = 0.5
    token_lifetime_s: float = 7200.0
    token_grace_s: float = 300.0
    poll_interval_s: float = 1.0
    answer_patience_s: float = 10.0
    ack_delay_s: float = 0.002
    subscribes_per_minute: int = 60
    away_s: float = 0.0
    company_accounts: int = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one callback ended.

    Attributes:
        status: answered; acknowledged (nothing said); refused (the last delivery had a status other than
            200, or the vendor refuses to make one); unavailable (no answer in time, or one that the vendor
            cannot use); unseen (a group's message that does not mention the bot).
        parts: What the bot said: nothing or one thing, of an AI bot a stream's last text and its card.
        plaintext: Inner XML or JSON of the (last) answer, as decrypted; "" for none.
        http_status: Of the last delivery; 0 when no answer came.
        attempts: Deliveries made; 0 where the vendor makes none.
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
        inner: The vendor's inner XML or JSON.
        user_id: Whom it comes from, or in whose chat it stands.
        kind: The vendor's message type, or event.
        text: Its words, or one readable line.
        fields: The vendor's fields that were asked for.
        answerable: Whether the vendor shows a passive answer to it.
        group_id: The group it comes from, "" for the direct chat.
        permitted: Of an AI bot: the kinds of answers it may have.
        event: Of an AI bot: the event's type, "" for a message.
        card_id: Of a click: the line that holds the card.
        repeated: Whether the vendor delivers it again where no answer came.
    """

    inner: str
    user_id: str
    kind: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    answerable: bool = True
    group_id: str = ""
    permitted: frozenset[str] = frozenset()
    event: str = ""
    card_id: int = 0
    repeated: bool = True


class Delivered(NamedTuple):
    """How the deliveries of one letter ended: the last answer, to which callback, after how many."""

    raw: RawAnswer
    callback: wire.Callback
    attempts: int
    entry: Entry


class Courier:
    """Carries letters to the bot and the answers back into the transcript."""

    def __init__(self, callback_base: str, settings: Settings, clock: VendorClock, faults: FaultBook) -> None:
        """Carry to ``/callback/<channel>`` below `callback_base` (scheme://host:port)."""
        self.callback_base = callback_base
        self._settings, self._clock, self._faults = settings, clock, faults
        self._postman = Postman()
        self._passed: dict[str, asyncio.Event] = {}  # channel → set when a callback has been posted

    async def carry(self, room: Room, letter: Letter, entry: Entry) -> Outcome:
        """Deliver a letter, repeat it as the vendors do, and write into `entry` what came of it."""
        delivered = await self.deliver(room, letter, entry)
        if delivered is None:
            outcome = lost()
        else:
            outcome = _judge(room, letter, delivered.raw, delivered.attempts)
            entry = delivered.entry
        self._record(room, letter, entry, outcome)
        return outcome

    async def deliver(self, room: Room, letter: Letter, entry: Entry) -> Delivered | None:
        """Post a letter, again where no answer came; None when a fault has lost it on the way."""
        fault = await self._faults.meet_callback(room.channel.name)
        if fault is not None and fault.lost:
            room.outcomes["lost"] += 1
            return None
        if fault is not None and fault.reordered:
            await self._let_another_pass(room.channel.name)
        callback = self.seal(room, letter.inner, letter.user_id)
        attempts = 0
        while True:
            attempts += 1
            raw = await self._post_once(room, callback, fault)
            if raw.http_status == 200 or attempts > self._settings.repeats or not letter.repeated:
                return Delivered(raw, callback, attempts, entry)
            entry = room.change(entry, repeats=attempts, note=raw.problem or f"HTTP {raw.http_status}")
            await asyncio.sleep(self._settings.repeat_pause_s)
            # Nobody knows whether the vendors sign repeats anew. So the first repeat has the same
            # bytes and later ones a new nonce, time and ciphertext: a receiver must bear both.
            if attempts > 1:
                callback = self.seal(room, letter.inner, letter.user_id)

    def seal(self, room: Room, inner: str, user_id: str) -> wire.Callback:
        """Return the callback of any inner XML or JSON, signed and encrypted as the channel demands."""
        return wire.seal(room.channel, inner, timestamp_s=self._clock.stamp_ms() // 1000, openid=user_id)

    async def post(self, channel: str, query: str, body: bytes, *, json: bool = False) -> RawAnswer:
        """Post any bytes to a channel's callback address, once; `json` names their type."""
        content_type = "application/json" if json else "text/xml"
        raw = await self._postman.post(
            self._url(channel), query, body,
            timeout_s=self._settings.answer_timeout_s, content_type=content_type,
        )  # fmt: skip
        if channel in self._passed:
            self._passed.pop(channel).set()
        return raw

    async def _post_once(self, room: Room, callback: wire.Callback, fault: Fault | None) -> RawAnswer:
        name, is_json = room.channel.name, room.channel.kind == "wecom_aibot"
        once = self.post(name, callback.query, callback.body, json=is_json)
        if fault is None or not fault.doubled:
            return await once
        room.outcomes["doubled"] += 1
        first, second = await asyncio.gather(
            once, self.post(name, callback.query, callback.body, json=is_json)
        )
        return first if first.http_status == 200 else second

    async def _let_another_pass(self, channel: str) -> None:
        passed = self._passed.setdefault(channel, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REORDER_WAIT_S):
                await passed.wait()

    async def get(self, channel: str, query: str, *, timeout_s: float) -> RawAnswer:
        """Ask a channel's callback address for the verification."""
        return await self._postman.get(self._url(channel), query, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._postman.close()

    def _url(self, channel: str) -> str:
        return f"{self.callback_base.rstrip('/')}/callback/{quote(channel, safe='')}"

    @staticmethod
    def _update_card(room: Room, letter: Letter, part: Said) -> None:
        """Change the card that was clicked, as the answer to the click says."""
        line = room.find(letter.card_id)
        if line is None:
            return
        if part.kind == "update_button":
            replace_card(room, line, None, str(part.fields["Button"]["ReplaceName"]))
        else:
            replace_card(room, line, card_of_xml(part.fields["TemplateCard"]), "")

    def _record(self, room: Room, letter: Letter, entry: Entry, outcome: Outcome) -> None:
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
        now_ms = self._clock.now_ms()
        for part in outcome.parts:
            if part.kind in CARD_ANSWERS:
                self._update_card(room, letter, part)
                continue
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


def lost() -> Outcome:
    """Return the outcome of a callback that never arrived."""
    return Outcome("unavailable", http_status=0, attempts=0, problem="lost on the way, on demand")


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
