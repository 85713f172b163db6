"""Plays scenarios against a running server through its sandbox, and prints them as conversations.

The same file plays in tests and by ``run.py sandbox --play FILE``: people are new ones at every play (unless
the scenario names their account), groups too, faults and the clock are put right at the end.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot.errors import RefusedError
from bot.sandbox.mishaps import MISHAPS
from bot.sandbox.room import Entry
from bot.sandbox.scenario import (
    OPEN,
    Actor,
    Click,
    Expect,
    ExpectDelivery,
    GiveFeedback,
    GoWrong,
    Happen,
    MoveClock,
    Place,
    Repeat,
    Say,
    Scenario,
    Step,
    Together,
    Wait,
)
from bot.sandbox.stage import Stage

_COMPLETE = frozenset({"received", "truncated"})
_OPEN = frozenset({"sending", "writing"})
_SETTLE_S = 10.0
_POLL_S = 0.2
_OPENINGS = {"wecom_aibot": "enter_chat", "wecom_app": "enter_agent", "wechat_oa": "subscribe"}
_FEEDBACK_KINDS = {"accurate": 1, "inaccurate": 2, "cancelled": 3}
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]{1,32})\}")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_SHOWN_CHARACTERS = 600
_SHOWN_LINES = 6

Write = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A channel that scenarios can be played on."""

    name: str
    kind: str
    mode: str
    bot_name: str

    def __str__(self) -> str:
        """Return it as ``aibot (wecom_aibot/callback)``."""
        mode = f"/{self.mode}" if self.kind == "wecom_aibot" else ""
        return f"{self.name} ({self.kind}{mode})"


@dataclass(slots=True)
class Report:
    """What became of the plays so far: checks that held, and what did not, one line each."""

    plays: int = 0
    held: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether something was played and everything held."""
        return self.plays > 0 and not self.failures


class Watch:
    """What stands in the transcripts of one channel now, kept up to date by the server's stream."""

    def __init__(self, stage: Stage, channel: str) -> None:
        """Watch `channel`; `follow` must run."""
        self.entries: dict[int, Entry] = {}
        self.changed: dict[int, int] = {}  # id → number of the change that altered it last
        self.changes = 0
        self._stage, self._channel = stage, channel
        self._news = asyncio.Condition()
        self.ready = asyncio.Event()

    async def follow(self) -> None:
        """Read the stream, anew where it ends, until cancelled."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async for event, data in self._stage.changes():
                    await self._take(event, data)
            await asyncio.sleep(_POLL_S)

    async def until(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Wait until `holds`, at most `within_s`; return whether it does."""
        try:
            async with asyncio.timeout(within_s), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            return holds()
        return True

    async def _take(self, event: str, data: Mapping[str, Any]) -> None:
        if event == "snapshot":
            found = [one for channel in data["channels"] for one in channel["entries"]]
        elif event == "entry":
            found = [data]
        else:
            return
        async with self._news:
            for one in found:
                if one["channel"] == self._channel:
                    self._put(Entry(**one))
            self.ready.set()
            self._news.notify_all()

    def _put(self, entry: Entry) -> None:
        before = self.entries.get(entry.id)
        self.entries[entry.id] = entry
        if before is None or (before.text, before.fields, before.versions) != (
            entry.text,
            entry.fields,
            entry.versions,
        ):
            self.changes += 1
            self.changed[entry.id] = self.changes


@dataclass(slots=True)
class _Thread:
    """One line of steps: in whose chat the last step of a person was."""

    who: str = ""
    place: Place = "direct"


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a chat stood when a person did something: id of the line, number of the last change."""

    entry_id: int
    change: int


@dataclass(slots=True)
class _Count:
    """A check that can be made at the end only: how many messages came between two marks."""

    expect: Expect
    who: str
    place: Place
    after: int
    before: int = 0  # 0: until the end


class Play:
    """One scenario on one channel."""

    def __init__(
        self,
        scenario: Scenario,
        target: Target,
        stage: Stage,
        write: Write,
        report: Report,
        *,
        faults: Sequence[str] = (),
        api_token: str = "",
    ) -> None:
        """Prepare a play; `faults` happen before every act of a person, where they can happen at all.

        `api_token` opens the list of deliveries of the same server, for ``expect_delivery``.
        """
        self._scenario, self._target, self._stage = scenario, target, stage
        self._write, self._report = write, report
        self._faults = [name for name in faults if _can_happen(name, target)]
        self._api_token = api_token
        run = secrets.token_hex(3)
        self._ids = {key: actor.id or f"{key}-{run}" for key, actor in scenario.people.items()}
        self._group = f"wr{secrets.token_hex(8)}" if scenario.group else ""
        self._watch = Watch(stage, target.name)
        self._marks: dict[tuple[Place, str], _Mark] = {}
        self._counts: list[_Count] = []
        self._printed: dict[int, str] = {}
        self._start = 0

    async def perform(self) -> None:
        """Play it to its end; what held and what did not goes into the report."""
        self._report.plays += 1
        self._write(f"▶ {self._scenario.name} · {self._target}")
        following = asyncio.create_task(self._watch.follow())
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._watch.ready.wait()
            self._start = max(self._watch.entries, default=0)
            await self._set_scene()
            await self._steps(self._scenario.steps, _Thread())
            await self._settle()
        except TimeoutError:
            self._fail(1, "the sandbox's stream does not answer")
        except RefusedError as error:
            self._fail(1, f"the play stopped: {error}")
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            with suppress(RefusedError):
                await self._stage.mend()

    async def _set_scene(self) -> None:
        channel = self._target.name
        for key, actor in self._scenario.people.items():
            await self._stage.add_person(channel, self._ids[key], actor.name)
        if self._group:
            members = list(dict.fromkeys(self._ids.values()))
            await self._stage.add_group(channel, self._group, self._scenario.group, members)

    # ------------------------------------------------------------ steps

    async def _steps(self, steps: Sequence[Step], thread: _Thread) -> None:
        for step in steps:
            try:
                await self._step(step, thread)
            except RefusedError as error:
                self._fail(step.line, str(error))

    async def _step(self, step: Step, thread: _Thread) -> None:
        match step:
            case Say() | Happen() | Click() | GiveFeedback():
                await self._act(step, thread)
            case Expect():
                await self._expect(step, thread)
            case ExpectDelivery():
                await self._expect_delivery(step, thread)
            case GoWrong():
                await self._go_wrong(step)
            case MoveClock():
                self._write(f"   ⏱ {'+' if step.by.total_seconds() >= 0 else '-'}{abs(step.by)}")
                await self._stage.move_clock(step.by.total_seconds())
            case Wait():
                await self._wait(step)
            case Repeat():
                for _ in range(step.times):
                    await self._steps(step.steps, thread)
            case Together():
                await asyncio.gather(*(self._steps(branch, _Thread()) for branch in step.branches))

    async def _go_wrong(self, step: GoWrong) -> None:
        self._write(f"   ⚡ {step.name}: {MISHAPS[step.name].about}")
        more = {} if step.delay_s is None else {"delay_s": step.delay_s}
        await self._stage.go_wrong(channel=self._target.name, name=step.name, times=step.times, **more)

    async def _wait(self, step: Wait) -> None:
        if not step.connected:
            await asyncio.sleep(step.seconds)
            return
        end_s = asyncio.get_running_loop().time() + step.seconds
        while True:
            channels = (await self._stage.state())["channels"]
            if all(one["connected"] for one in channels if one["name"] == self._target.name):
                self._hold("connected")
                return
            if asyncio.get_running_loop().time() >= end_s:
                raise RefusedError(f"the bot did not connect within {step.seconds:g} s")
            await asyncio.sleep(_POLL_S)

    async def _act(self, step: Say | Happen | Click | GiveFeedback, thread: _Thread) -> None:
        thread.who, thread.place = step.who, step.place
        for name in self._faults:
            await self._stage.go_wrong(channel=self._target.name, name=name)
        change = self._watch.changes
        self._write(f"   {self._name(step.who)}{self._where(step.place)}: {self._told(step)}")
        entry_id = await self._do(step)
        key = (step.place, step.who)
        for count in self._counts:
            if (count.place, count.who) == key and not count.before:
                count.before = entry_id
        self._marks[key] = _Mark(entry_id, change)
        self._printed[entry_id] = ""

    async def _do(self, step: Say | Happen | Click | GiveFeedback) -> int:
        group = {"group": self._group} if step.place == "group" else {}
        whom: dict[str, Any] = {"channel": self._target.name, "user_id": self._ids[step.who], **group}
        match step:
            case Say():
                body: dict[str, Any] = {"text": self._filled(step.text), "mention": step.mention}
                if step.quote:
                    body["quote"] = self._quoted(step).id
                return await self._stage.begin("say", **whom, **body)
            case Happen():
                event = _OPENINGS[self._target.kind] if step.event == OPEN else step.event
                return await self._stage.begin("event", **whom, event=event, fields=dict(step.fields))
            case Click():
                card = self._last(step.who, step.place, lambda entry: entry.kind == "template_card")
                key = _button_key(card.card(self._ids[step.who]), step.button)
                chosen = {question: list(ids) for question, ids in step.choose.items()}
                return await self._stage.begin(
                    "click", entry=card.id, user_id=whom["user_id"], button_key=key, selections=chosen
                )
            case GiveFeedback():
                answer = self._last(step.who, step.place, lambda entry: bool(entry.fields.get("feedback")))
                before = max(self._watch.entries, default=0)
                await self._stage.judge(
                    entry=answer.id,
                    user_id=whom["user_id"],
                    kind=_FEEDBACK_KINDS[step.type],
                    content=step.text,
                )
                return before

    def _last(self, who: str, place: Place, fits: Callable[[Entry], bool]) -> Entry:
        found = [
            entry
            for entry in self._watch.entries.values()
            if self._is_here(entry, who, place) and fits(entry)
        ]
        if not found:
            raise RefusedError("the bot has said nothing there that this could be done with")
        return max(found, key=lambda entry: entry.id)

    def _quoted(self, step: Say) -> Entry:
        if step.quote == "last":
            return self._last(step.who, step.place, lambda entry: entry.side == "bot")
        words = self._filled(step.quote)
        return self._last(step.who, step.place, lambda entry: words in entry.text)

    # ------------------------------------------------------------ what is expected

    async def _expect(self, expect: Expect, thread: _Thread) -> None:
        who, place = (expect.who, expect.place) if expect.who else (thread.who, thread.place)
        mark = self._marks.get((place, who), _Mark(self._start, 0))
        if expect.count is not None:
            self._counts.append(_Count(expect, who, place, mark.entry_id))
        if expect.nothing:
            await self._expect_nothing(expect, who, place, mark)
            return
        if not _says_what(expect):
            return

        def holds() -> bool:
            return any(self._fits(expect, who, entry) for entry in self._news(expect, who, place, mark))

        held = await self._watch.until(holds, expect.within_s)
        self._print_news(who, place)
        if held:
            self._hold(_wanted(expect))
            return
        came = [_short(entry.text) for entry in self._news(expect, who, place, mark)]
        state = self._watch.entries.get(mark.entry_id)
        told = f"came: {' | '.join(came)}" if came else f"nothing came ({_fate(state)})"
        self._fail(expect.line, f"expected {_wanted(expect)} within {expect.within_s:g} s; {told}")

    async def _expect_nothing(self, expect: Expect, who: str, place: Place, mark: _Mark) -> None:
        def over() -> bool:
            own = self._watch.entries.get(mark.entry_id)
            return bool(self._news(expect, who, place, mark)) or (own is not None and own.status == "unseen")

        await self._watch.until(over, expect.within_s)
        self._print_news(who, place)
        came = self._news(expect, who, place, mark)
        if came:
            self._fail(expect.line, f"expected nothing; came: {_short(came[0].text)}")
        else:
            self._hold("nothing")

    def _news(self, expect: Expect, who: str, place: Place, mark: _Mark) -> list[Entry]:
        """Return what the bot said since the mark; a card that changed since is news too."""
        return [
            entry
            for entry in self._watch.entries.values()
            if entry.side == "bot"
            and self._is_here(entry, who, place)
            and (entry.id > mark.entry_id or self._is_changed_card(expect, entry, mark))
        ]

    def _is_changed_card(self, expect: Expect, entry: Entry, mark: _Mark) -> bool:
        is_card = expect.card is not None and entry.kind == "template_card"
        return is_card and self._watch.changed.get(entry.id, 0) > mark.change

    def _is_here(self, entry: Entry, who: str, place: Place) -> bool:
        if entry.id <= self._start:
            return False
        if place == "group":
            mine = entry.side != "bot" or entry.user_id in {"", self._ids[who]}
            return entry.group_id == self._group and mine
        return not entry.group_id and entry.user_id == self._ids[who]

    def _fits(self, expect: Expect, who: str, entry: Entry) -> bool:
        if entry.status not in _COMPLETE:
            return False
        if expect.card is not None:
            is_card = entry.kind == "template_card"
            return is_card and self._filled(expect.card) in _words_of(entry.card(self._ids[who]))
        if expect.equals is not None and entry.text != self._filled(expect.equals):
            return False
        if expect.regex is not None and not expect.regex.search(entry.text):
            return False
        return all(self._filled(words) in entry.text for words in expect.contains)

    async def _expect_delivery(self, expect: ExpectDelivery, thread: _Thread) -> None:
        if not self._api_token:
            raise RefusedError("expect_delivery needs a token of the API: give --token")
        who = expect.who or thread.who
        loop = asyncio.get_running_loop()
        end_s = loop.time() + expect.within_s
        found: list[dict[str, Any]] = []
        while True:
            listed = await self._stage.deliveries(self._api_token)
            found = [one for one in listed if self._is_delivery_to(one, who)]
            fitting = [one for one in found if one["state"] == expect.state]
            if any(expect.reason in (one["reason"] or "") for one in fitting):
                self._hold(f"delivery {expect.state} {expect.reason}".rstrip())
                return
            if loop.time() >= end_s:
                break
            await asyncio.sleep(_POLL_S)
        came = "; ".join(f"{one['state']} {one['reason'] or ''}".rstrip() for one in found) or "none"
        self._fail(expect.line, f"expected a delivery {expect.state} {expect.reason}; there are: {came}")

    def _is_delivery_to(self, delivery: Mapping[str, Any], who: str) -> bool:
        receivers = (
            str(delivery.get("member", "")),
            str(delivery.get("user_id", "")),
            str(delivery.get("group", "")),
        )
        here = delivery.get("channel") == self._target.name
        return here and any(
            self._ids[who] in one or (self._group and self._group in one) for one in receivers
        )

    async def _settle(self) -> None:
        """Wait until nothing is under way, make the checks of the end, print what was not printed."""

        def quiet() -> bool:
            own = (entry for entry in self._watch.entries.values() if entry.id > self._start)
            return not any(entry.status in _OPEN for entry in own)

        if self._counts:
            await self._watch.until(quiet, _SETTLE_S)
        for who in self._scenario.people:
            for place in ("group", "direct"):
                if place == "direct" or self._group:
                    self._print_news(who, place)
        for count in self._counts:
            self._check_count(count)

    def _check_count(self, count: _Count) -> None:
        wanted = count.expect.count
        came = [
            entry
            for entry in self._watch.entries.values()
            if entry.side == "bot"
            and self._is_here(entry, count.who, count.place)
            and entry.id > count.after
            and (not count.before or entry.id < count.before)
            and entry.status in _COMPLETE
        ]
        if len(came) == wanted:
            self._hold(f"{wanted} message(s) in all")
        else:
            texts = " | ".join(_short(entry.text) for entry in came) or "nothing"
            self._fail(count.expect.line, f"expected {wanted} message(s) in all, came {len(came)}: {texts}")

    # ------------------------------------------------------------ telling

    def _print_news(self, who: str, place: Place) -> None:
        for entry in sorted(self._watch.entries.values(), key=lambda one: one.id):
            is_new = entry.status not in _OPEN and self._printed.get(entry.id) != entry.text
            if entry.side != "member" and is_new and self._is_here(entry, who, place):
                self._printed[entry.id] = entry.text
                name = self._target.bot_name if entry.side == "bot" else "平台 platform"
                late = {"active": " (主动 active)", "response_url": " (晚到 late)"}.get(entry.route, "")
                mark = "" if entry.status in _COMPLETE else f" [{entry.status}]"
                lines = _clean(entry.text).split("\n")
                more = [f"… ({len(lines) - _SHOWN_LINES} more)"] if len(lines) > _SHOWN_LINES + 1 else []
                shown = lines[:_SHOWN_LINES] + more if more else lines
                text = "\n      ".join(shown)
                self._write(f"   {name}{self._where(place)}: {text}{late}{mark}")

    def _told(self, step: Say | Happen | Click | GiveFeedback) -> str:
        match step:
            case Say():
                at = f"@{self._target.bot_name} " if step.mention and step.place == "group" else ""
                return f"{at}{self._filled(step.text)}"
            case Happen():
                return f"({step.event})"
            case Click():
                return f"[按 presses {step.button}]"
            case GiveFeedback():
                return f"[{step.type}] {step.text}".rstrip()

    def _filled(self, text: str) -> str:
        """Return `text` with the platform's id in the place of ``{lin}``."""
        return _PLACEHOLDER.sub(lambda match: self._ids.get(match[1], match[0]), text)

    def _name(self, who: str) -> str:
        return self._scenario.people.get(who, Actor(who)).name

    def _where(self, place: Place) -> str:
        return f" → {self._scenario.group}" if place == "group" else ""

    def _hold(self, what: str) -> None:
        self._report.held += 1
        self._write(f"   ✓ {what}")

    def _fail(self, line: int, problem: str) -> None:
        where = f"{self._scenario.file}:{line}"
        self._report.failures.append(f"{where}: {self._target}: {problem}")
        self._write(f"   ✗ {where}: {problem}")


async def play(
    base: str,
    scenarios: Sequence[Scenario],
    *,
    write: Write = print,
    channels: Sequence[str] = (),
    faults: Sequence[str] = (),
    api_token: str = "",
) -> Report:
    """Play scenarios on every channel they fit, one after the other, and return what became of them.

    Args:
        base: The running server, scheme://host:port.
        scenarios: What is played.
        write: Takes the conversation, line by line.
        channels: Only on these; empty is every one.
        faults: Names of `MISHAPS` that happen before every act of a person.
        api_token: Of the product's API, for ``expect_delivery``.

    Raises:
        RefusedError: No sandbox answers at `base`, it has no such channel, or no such fault.
    """
    report = Report()
    for name in faults:
        if name not in MISHAPS:
            raise RefusedError(f"no fault is called {name!r}; there are: {', '.join(MISHAPS)}")
    async with _stage(base) as stage:
        targets = _targets(await stage.state(), channels)
        for scenario in scenarios:
            fitting = [target for target in targets if scenario.fits(target.kind, target.mode)]
            if not fitting:
                write(f"– {scenario.name}: no channel here fits ({', '.join(scenario.kinds)})")
            for target in fitting:
                await Play(
                    scenario, target, stage, write, report, faults=faults, api_token=api_token
                ).perform()
    _sum_up(report, write)
    return report


@asynccontextmanager
async def _stage(base: str) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Stage(base))


def _targets(state: Mapping[str, Any], wanted: Sequence[str]) -> list[Target]:
    there = [
        Target(one["name"], one["kind"], one["mode"], one.get("bot_name", "bot")) for one in state["channels"]
    ]
    for name in wanted:
        if name not in {target.name for target in there}:
            known = ", ".join(target.name for target in there) or "none"
            raise RefusedError(f"the sandbox has no channel {name!r}; it has: {known}")
    return [target for target in there if not wanted or target.name in wanted]


def _sum_up(report: Report, write: Write) -> None:
    write("")
    for failure in report.failures:
        write(f"✗ {failure}")
    sign = "✓" if report.well else "✗"
    write(f"{sign} {report.plays} played, {report.held} held, {len(report.failures)} failed")


def _can_happen(name: str, target: Target) -> bool:
    mishap = MISHAPS[name]
    return target.kind in mishap.kinds and mishap.mode in {"", target.mode}


def _says_what(expect: Expect) -> bool:
    return bool(expect.contains) or any(one is not None for one in (expect.equals, expect.regex, expect.card))


def _wanted(expect: Expect) -> str:
    if expect.card is not None:
        return f"a card with {expect.card!r}"
    if expect.equals is not None:
        return f"{expect.equals!r}"
    if expect.regex is not None:
        return f"/{expect.regex.pattern}/"
    return ", ".join(f"{words!r}" for words in expect.contains)


def _fate(entry: Entry | None) -> str:
    if entry is None:
        return "not sent"
    note = f": {entry.note}" if entry.note else ""
    return f"{entry.status}{note}"


def _button_key(card: Mapping[str, Any], wanted: str) -> str:
    """Return the key of the button with this text or key; `wanted` itself where the card has none."""
    buttons = [*card.get("button_list", ()), *([card["submit_button"]] if card.get("submit_button") else ())]
    for button in buttons:
        if wanted in {button.get("key"), button.get("text")}:
            return str(button.get("key", ""))
    return wanted


def _words_of(value: object) -> str:
    """Return every text of a card, one per line."""
    if isinstance(value, Mapping):
        return "\n".join(_words_of(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return "\n".join(_words_of(inner) for inner in value)
    return str(value) if isinstance(value, str) else ""


def _short(text: str) -> str:
    one_line = " ".join(_clean(text).split())
    return one_line if len(one_line) <= _SHOWN_CHARACTERS else f"{one_line[:_SHOWN_CHARACTERS]}…"


def _clean(text: str) -> str:
    return _CONTROL.sub("", text)
