"""A conversation written down as YAML: who says what, and what the bot must answer. Read strictly.

::

    name: 签到 · check in
    on: [wecom_aibot/callback, wecom_aibot/long_connection, wecom_app]
    in: group                                  # group | direct, where a step does not say; default direct
    people: {lin: 小林, ana: {name: 安娜, id: ana}}   # without an id: a new person at every play
    steps:
      - lin: "@bot 签到"                        # "@bot" mentions the bot; in a group it hears nothing else
      - bot: 签到成功                           # short for  expect: {contains: 签到成功}
      - say: {as: lin, text: 帮助, in: direct, mention: false, quote: last}
      - expect: {regex: "积分.*排行", within_s: 3, count: 1}
      - event: {as: lin, name: open}           # or the platform's own name: enter_chat, subscribe, …
      - click: {as: lin, button: 去签到, choose: {colour: [red]}}
      - feedback: {as: lin, type: inaccurate, text: 不对}
      - fault: {name: callback_doubled, times: 2}
      - clock: +25h
      - wait: 0.5                              # or connected: until the bot's long connection stands
      - expect_delivery: {state: dead, reason: no route}
      - repeat: {times: 3, steps: [{lin: "@bot 积分"}, {bot: 积分}]}
      - together: [[{lin: "@bot 签到"}, {bot: 签到成功}], [{ana: "@bot 积分"}, {bot: 积分}]]

Everything wrong with a file is said at once, as ``file:line``; a key that is not known names the nearest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

from bot.config.values import did_you_mean
from bot.errors import ConfigError, Fault, RefusedError
from bot.sandbox.mishaps import MISHAPS
from bot.yaml_tree import Document, Finding, KeyPath, Tree, read_yaml

Place: TypeAlias = Literal["group", "direct"]
FeedbackType: TypeAlias = Literal["accurate", "inaccurate", "cancelled"]
DeliveryState: TypeAlias = Literal["queued", "delivered", "dead"]

MENTION: Final = "@bot"
"""At the beginning of a text: it mentions the bot."""

OPEN: Final = "open"
"""The event of opening the chat for the first time, whatever the channel calls it."""

_KINDS: Final = (
    "wecom_app", "wechat_oa", "wecom_aibot", "wecom_aibot/callback", "wecom_aibot/long_connection",
)  # fmt: skip
_PLACES: Final[tuple[Place, ...]] = ("group", "direct")
_FEEDBACK: Final[tuple[FeedbackType, ...]] = ("accurate", "inaccurate", "cancelled")
_STATES: Final[tuple[DeliveryState, ...]] = ("queued", "delivered", "dead")
_FLAGS: Final = ("true", "false")
_LENGTH: Final = re.compile(r"([+-])(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?")
_PERSON: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_LONGEST_WAIT_S: Final = 600.0
_CONNECTED_WITHIN_S: Final = 120.0
_MOST_STEPS: Final = 500
_Word = TypeVar("_Word", bound=str)


# ---------------------------------------------------------------- what a file says


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who speaks: `id` is their account at the platform, empty for a new one at every play."""

    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """Someone sends a text; `quote` is ``last`` (the bot's last message there) or the words quoted."""

    line: int
    who: str
    text: str
    place: Place
    mention: bool
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Happen:
    """Something happens to someone: `OPEN`, enter_chat, subscribe … with the vendor's fields."""

    line: int
    who: str
    event: str
    place: Place
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Click:
    """Someone presses the button with this text or key on the last card; `choose` answers its questions."""

    line: int
    who: str
    button: str
    place: Place
    choose: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GiveFeedback:
    """Someone judges the bot's last message: accurate, inaccurate, or cancelled."""

    line: int
    who: str
    type: FeedbackType
    place: Place
    text: str = ""


@dataclass(frozen=True, slots=True)
class Expect:
    """What the bot must have said since the last step of a person in the same chat.

    Attributes:
        contains: Words that one message must hold, all of them.
        equals: The whole text of one message; None for no matter.
        regex: What is found in one message; None for no matter.
        nothing: The bot says nothing.
        card: Words that must stand on one card, new or updated; None for no matter.
        count: How many messages the bot says in all until the next step of a person; None for no matter.
        within_s: How long it may take.
        who: In whose direct chat; empty means the chat of the last step before.
        place: Which of that person's chats, where `who` is given.
    """

    line: int
    contains: tuple[str, ...] = ()
    equals: str | None = None
    regex: re.Pattern[str] | None = None
    nothing: bool = False
    card: str | None = None
    count: int | None = None
    within_s: float = 5.0
    who: str = ""
    place: Place = "direct"


@dataclass(frozen=True, slots=True)
class GoWrong:
    """A fault of `MISHAPS` for the next call or callback, or the next few."""

    line: int
    name: str
    times: int = 1
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class MoveClock:
    """The platform's clock moves by `by`."""

    line: int
    by: timedelta


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing happens for so many seconds, or at most so many until the bot's long connection stands."""

    line: int
    seconds: float
    connected: bool = False


@dataclass(frozen=True, slots=True)
class ExpectDelivery:
    """What the list of deliveries must show for the last person: its state and words of its reason."""

    line: int
    state: DeliveryState
    reason: str = ""
    who: str = ""
    within_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same steps again and again."""

    line: int
    times: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """Several branches at the same time."""

    line: int
    branches: tuple[tuple[Step, ...], ...]


Step: TypeAlias = (
    Say
    | Happen
    | Click
    | GiveFeedback
    | Expect
    | GoWrong
    | MoveClock
    | Wait
    | ExpectDelivery
    | Repeat
    | Together
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One conversation.

    Attributes:
        file: Where it stands, for messages.
        name: What it shows, in one line.
        kinds: Where it may be played: ``kind`` or ``kind/mode``.
        people: Who takes part, by the name used in the steps.
        group: Name of its group; empty where no step is in a group.
        steps: What happens, in order.
    """

    file: str
    name: str
    kinds: tuple[str, ...]
    people: Mapping[str, Actor]
    group: str
    steps: tuple[Step, ...]

    def fits(self, kind: str, mode: str) -> bool:
        """Whether it may be played on a channel of this kind and mode."""
        return kind in self.kinds or f"{kind}/{mode}" in self.kinds


# ---------------------------------------------------------------- reading


def shipped_scenarios() -> Traversable:
    """Return the folder of the scenarios that come with the product."""
    return files("content") / "scenarios"


def find_scenarios(name: str) -> Path | Traversable:
    """Return the file or folder called `name`; ``all``, or the name of one, means those that came with us.

    Raises:
        RefusedError: there is neither.
    """
    path = Path(name)
    if path.exists():
        return path
    shipped = {file.name.removesuffix(".yaml"): file for file in _files(shipped_scenarios())}
    if name == "all":
        return shipped_scenarios()
    if name in shipped:
        return shipped[name]
    raise RefusedError(f"there is no scenario {name}: {did_you_mean(name, [*shipped, 'all'])}")


def load_scenarios(path: Path | Traversable) -> tuple[Scenario, ...]:
    """Return the scenario of a file, or those of every ``*.yaml`` of a folder in the order of their names.

    Raises:
        ConfigError: something is wrong with any of them; it carries all faults at once.
    """
    found: list[Scenario] = []
    faults: list[Fault] = []
    for file in _files(path):
        try:
            found.append(load_scenario(file))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return tuple(found)


def load_scenario(path: Path | Traversable) -> Scenario:
    """Return the scenario in a file.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong; all faults at once.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        fault = Fault(f"{path}:1", "(file)", f"cannot be read: {error.strerror}", "name another file")
        raise ConfigError([fault]) from None
    return read_scenario(data, str(path))


def read_scenario(data: bytes, file: str) -> Scenario:
    """Return the scenario that `data` holds; `file` is what messages call it.

    Raises:
        ConfigError: something in it is wrong; all faults at once.
    """
    document = read_yaml(data)
    reader = _Reader(document)
    scenario = reader.scenario(file) if not document.broken else None
    findings = [*document.findings, *reader.findings]
    if findings or scenario is None:
        ordered = sorted(findings, key=lambda finding: finding.line)
        raise ConfigError([
            Fault(f"{file}:{one.line}", _shown(one.path), one.problem, one.cure) for one in ordered
        ])  # fmt: skip
    return scenario


def _files(path: Path | Traversable) -> Iterable[Path | Traversable]:
    if not path.is_dir():
        return [path]
    inner = [file for file in path.iterdir() if file.name.endswith(".yaml")]
    return sorted(inner, key=lambda file: file.name)


class _Reader:
    """Turns the tree of one document into steps and gathers what is wrong."""

    def __init__(self, document: Document) -> None:
        self.findings: list[Finding] = []
        self._document = document
        self._people: dict[str, Actor] = {}
        self._place: Place = "direct"
        self._count = 0
        self._uses_group = False
        self._verbs: Mapping[str, Callable[[Tree, KeyPath], Step | None]] = {
            "say": self._say,
            "bot": self._bot,
            "expect": self._expect,
            "event": self._event,
            "click": self._click,
            "feedback": self._feedback,
            "fault": self._fault,
            "clock": self._clock,
            "wait": self._wait,
            "expect_delivery": self._expect_delivery,
            "repeat": self._repeat,
            "together": self._together,
        }

    def scenario(self, file: str) -> Scenario | None:
        keys = ("name", "about", "on", "in", "people", "group", "steps")
        tree = self._document.tree
        self._mapping(tree, (), keys, needed=("name", "on", "people", "steps"))
        if not isinstance(tree, dict):
            return None
        self._place = self._one_of(tree, (), "in", _PLACES, "direct")
        kinds = self._texts(tree["on"], ("on",)) if tree.get("on") is not None else ()
        for number, kind in enumerate(kinds):
            if kind not in _KINDS:
                path = ("on", number) if isinstance(tree.get("on"), list) else ("on",)
                self._wrong(path, "is not a kind of channel", did_you_mean(kind, _KINDS))
        self._people = self._read_people(tree["people"]) if tree.get("people") is not None else {}
        group = self._text(tree, (), "group", "")
        steps = self._steps(tree["steps"], ("steps",)) if tree.get("steps") is not None else ()
        name = self._text(tree, (), "name", "")
        shown_group = group or "剧本群 scenario"
        return Scenario(file, name, kinds, self._people, shown_group if self._uses_group else "", steps)

    def _read_people(self, tree: Tree) -> dict[str, Actor]:
        path: KeyPath = ("people",)
        if not isinstance(tree, dict) or not tree:
            self._wrong(path, "must hold keys and values", "write {lin: 小林}")
            return {}
        people = {}
        for key, value in tree.items():
            inner = (*path, key)
            if key in self._verbs or _PERSON.fullmatch(key) is None:
                self._wrong(inner, "cannot be the name of a person", "letters, digits, _ . - and not a verb")
            elif isinstance(value, dict):
                self._known(value, inner, ("name", "id"))
                people[key] = Actor(self._text(value, inner, "name", key), self._text(value, inner, "id", ""))
            elif value is None or isinstance(value, str):
                people[key] = Actor(value or key)
            else:
                self._wrong(inner, "must be a name, or {name: …, id: …}")
        return people

    def _steps(self, tree: Tree, path: KeyPath) -> tuple[Step, ...]:
        if not isinstance(tree, list) or not tree:
            self._wrong(path, "must be a list of steps", "write `- lin: 签到` lines")
            return ()
        found = [self._step(item, (*path, number)) for number, item in enumerate(tree)]
        return tuple(step for step in found if step is not None)

    def _step(self, tree: Tree, path: KeyPath) -> Step | None:
        self._count += 1
        if self._count == _MOST_STEPS + 1:
            self._wrong(
                path, f"is step {self._count}; a scenario has at most {_MOST_STEPS}", "make two of it"
            )
        if not isinstance(tree, dict) or len(tree) != 1:
            self._wrong(path, "must be one key and its value", "write each step as `- key: value`")
            return None
        ((key, value),) = tree.items()
        inner = (*path, key)
        if key in self._people:
            return self._spoken(key, value, inner)
        verb = self._verbs.get(key)
        if verb is None:
            cure = did_you_mean(key, [*self._verbs, *self._people])
            self._wrong(inner, "is neither a kind of step nor one of the people", cure)
            return None
        return verb(value, inner)

    # ------------------------------------------------------------ the kinds of steps

    def _spoken(self, who: str, value: Tree, path: KeyPath) -> Say | None:
        if not isinstance(value, str) or not value.strip():
            self._wrong(path, "must be what they say")
            return None
        text, mention = _without_mention(value)
        self._note(self._place)
        return Say(self._line(path), who, text, self._place, mention)

    def _say(self, value: Tree, path: KeyPath) -> Say | None:
        keys = ("as", "in", "text", "mention", "quote")
        tree = self._mapping(value, path, keys, needed=("as", "text"))
        if tree is None:
            return None
        text, mention = _without_mention(self._text(tree, path, "text", ""))
        if "mention" in tree:
            mention = self._flag(tree, path, "mention", usual=False)
        quote = self._text(tree, path, "quote", "")
        return Say(self._line(path), self._who(tree, path), text, self._where(tree, path), mention, quote)

    def _event(self, value: Tree, path: KeyPath) -> Happen | None:
        tree = self._mapping(value, path, ("as", "in", "name", "fields"), needed=("as", "name"))
        if tree is None:
            return None
        fields = tree.get("fields") or {}
        if not isinstance(fields, dict) or not all(isinstance(item, str) for item in fields.values()):
            self._wrong((*path, "fields"), "must hold the vendor's fields and their values")
            fields = {}
        given = {key: item for key, item in fields.items() if isinstance(item, str)}
        # An event is the platform's report of a direct chat, unless said otherwise.
        place = self._where(tree, path) if "in" in tree else "direct"
        event = self._text(tree, path, "name", "")
        return Happen(self._line(path), self._who(tree, path), event, place, given)

    def _click(self, value: Tree, path: KeyPath) -> Click | None:
        tree = self._mapping(value, path, ("as", "in", "button", "choose"), needed=("as", "button"))
        if tree is None:
            return None
        choose = tree.get("choose") or {}
        if not isinstance(choose, dict):
            self._wrong((*path, "choose"), "must hold questions and the options chosen")
            choose = {}
        chosen = {key: self._texts(item, (*path, "choose", key)) for key, item in choose.items()}
        who, place = self._who(tree, path), self._where(tree, path)
        return Click(self._line(path), who, self._text(tree, path, "button", ""), place, chosen)

    def _feedback(self, value: Tree, path: KeyPath) -> GiveFeedback | None:
        tree = self._mapping(value, path, ("as", "in", "type", "text"), needed=("as", "type"))
        if tree is None:
            return None
        kind = self._one_of(tree, path, "type", _FEEDBACK, _FEEDBACK[0])
        who, place = self._who(tree, path), self._where(tree, path)
        return GiveFeedback(self._line(path), who, kind, place, self._text(tree, path, "text", ""))

    def _bot(self, value: Tree, path: KeyPath) -> Expect | None:
        if not isinstance(value, str | list) or not value:
            self._wrong(path, "must be words of the answer")
            return None
        return Expect(self._line(path), contains=self._texts(value, path))

    def _expect(self, value: Tree, path: KeyPath) -> Expect | None:
        if isinstance(value, str):
            return self._bot(value, path)
        conditions = ("contains", "equals", "regex", "nothing", "card", "count")
        tree = self._mapping(value, path, (*conditions, "within_s", "as", "in"))
        if tree is None:
            return None
        if not any(key in tree for key in conditions):
            self._wrong(path, "says nothing that can be checked", f"give one of {', '.join(conditions)}")
        nothing = self._flag(tree, path, "nothing", usual=False)
        if nothing and len(tree.keys() & set(conditions)) > 1:
            self._wrong((*path, "nothing"), "stands beside another condition", "keep one of them")
        return Expect(
            self._line(path),
            contains=self._texts(tree["contains"], (*path, "contains")) if "contains" in tree else (),
            equals=self._text(tree, path, "equals", "") if "equals" in tree else None,
            regex=self._regex(tree, path),
            nothing=nothing,
            card=self._text(tree, path, "card", "") if "card" in tree else None,
            count=int(self._number(tree, path, "count", 0, most=1000)) if "count" in tree else None,
            within_s=self._number(tree, path, "within_s", 1.0 if nothing else 5.0),
            who=self._who(tree, path) if "as" in tree else "",
            place=self._where(tree, path),
        )

    def _fault(self, value: Tree, path: KeyPath) -> GoWrong | None:
        named: Tree = {"name": value} if isinstance(value, str) else value
        read = self._mapping(named, path, ("name", "times", "delay_s"), needed=("name",))
        if read is None:
            return None
        name = self._text(read, path, "name", "")
        if name not in MISHAPS:
            where = (*path, "name") if isinstance(value, dict) else path
            self._wrong(where, "is not a known fault", did_you_mean(name, MISHAPS))
        delay_s = self._number(read, path, "delay_s", 0.0) if "delay_s" in read else None
        times = int(self._number(read, path, "times", 1, most=1000))
        return GoWrong(self._line(path), name, times, delay_s)

    def _clock(self, value: Tree, path: KeyPath) -> MoveClock | None:
        match = _LENGTH.fullmatch(value) if isinstance(value, str) else None
        if match is None or not any(match.groups()[1:]):
            self._wrong(path, "must be a length of time with its sign", "write +25h, +1d2h30m or -10m")
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
        by = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return MoveClock(self._line(path), -by if match[1] == "-" else by)

    def _wait(self, value: Tree, path: KeyPath) -> Wait:
        if value == "connected":
            return Wait(self._line(path), _CONNECTED_WITHIN_S, connected=True)
        return Wait(self._line(path), self._number({"wait": value}, path[:-1], "wait", 0.0))

    def _expect_delivery(self, value: Tree, path: KeyPath) -> ExpectDelivery | None:
        tree = self._mapping(value, path, ("state", "reason", "as", "within_s"), needed=("state",))
        if tree is None:
            return None
        return ExpectDelivery(
            self._line(path),
            self._one_of(tree, path, "state", _STATES, _STATES[0]),
            self._text(tree, path, "reason", ""),
            self._who(tree, path) if "as" in tree else "",
            self._number(tree, path, "within_s", 10.0),
        )

    def _repeat(self, value: Tree, path: KeyPath) -> Repeat | None:
        tree = self._mapping(value, path, ("times", "steps"), needed=("times", "steps"))
        if tree is None:
            return None
        times = int(self._number(tree, path, "times", 1, most=1000))
        return Repeat(self._line(path), times, self._steps(tree.get("steps"), (*path, "steps")))

    def _together(self, value: Tree, path: KeyPath) -> Together | None:
        if not isinstance(value, list) or len(value) < 2:
            self._wrong(path, "must be a list of two branches or more, each a step or a list of steps")
            return None
        branches = []
        for number, item in enumerate(value):
            inner = (*path, number)
            if isinstance(item, list):
                branches.append(self._steps(item, inner))
            elif (step := self._step(item, inner)) is not None:
                branches.append((step,))
        return Together(self._line(path), tuple(branches))

    # ------------------------------------------------------------ values

    def _mapping(
        self, value: Tree, path: KeyPath, keys: Iterable[str], needed: Iterable[str] = ()
    ) -> dict[str, Tree] | None:
        if not isinstance(value, dict):
            self._wrong(path, "must hold keys and values", f"its keys: {', '.join(keys)}")
            return None
        self._known(value, path, keys)
        missing = [key for key in needed if value.get(key) is None]
        for key in missing:
            self._wrong((*path, key), "is missing", f"write {key}: and its value")
        return None if missing else value

    def _known(self, value: Mapping[str, Tree], path: KeyPath, keys: Iterable[str]) -> None:
        for key in value:
            if key not in keys:
                self._wrong((*path, key), "is not a known key", did_you_mean(key, keys))

    def _who(self, tree: Mapping[str, Tree], path: KeyPath) -> str:
        who = self._text(tree, path, "as", "")
        if who and who not in self._people:
            self._wrong((*path, "as"), "is none of the people", did_you_mean(who, self._people))
        return who

    def _where(self, tree: Mapping[str, Tree], path: KeyPath) -> Place:
        place = self._one_of(tree, path, "in", _PLACES, self._place)
        self._note(place)
        return place

    def _note(self, place: str) -> None:
        self._uses_group = self._uses_group or place == "group"

    def _one_of(
        self, tree: Mapping[str, Tree], path: KeyPath, key: str, words: tuple[_Word, ...], usual: _Word
    ) -> _Word:
        value = tree.get(key)
        if key not in tree:
            return usual
        for word in words:
            if word == value:
                return word
        cure = did_you_mean(value, words) if isinstance(value, str) else ""
        self._wrong((*path, key), f"must be one of {', '.join(words)}", cure)
        return usual

    def _flag(self, tree: Mapping[str, Tree], path: KeyPath, key: str, *, usual: bool) -> bool:
        return self._one_of(tree, path, key, _FLAGS, "true" if usual else "false") == "true"

    def _text(self, tree: Mapping[str, Tree], path: KeyPath, key: str, usual: str) -> str:
        value = tree.get(key)
        if value is None:
            return usual
        if not isinstance(value, str):
            self._wrong((*path, key), "must be text")
            return usual
        return value

    def _texts(self, value: Tree, path: KeyPath) -> tuple[str, ...]:
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(item, str) and item for item in items):
            self._wrong(path, "must be text, or a list of texts")
            return ()
        return tuple(item for item in items if isinstance(item, str))

    def _regex(self, tree: Mapping[str, Tree], path: KeyPath) -> re.Pattern[str] | None:
        if "regex" not in tree:
            return None
        try:
            return re.compile(self._text(tree, path, "regex", ""))
        except re.error as error:
            self._wrong((*path, "regex"), f"is no regular expression: {error}")
            return None

    def _number(
        self,
        tree: Mapping[str, Tree],
        path: KeyPath,
        key: str,
        usual: float,
        *,
        most: float = _LONGEST_WAIT_S,
    ) -> float:
        value = tree.get(key, str(usual))
        if isinstance(value, str) and re.fullmatch(r"\d{1,6}(\.\d{1,3})?", value) and float(value) <= most:
            return float(value)
        self._wrong((*path, key), f"must be a number from 0 to {most:g}")
        return usual

    def _line(self, path: KeyPath) -> int:
        return self._document.line_of(path)

    def _wrong(self, path: KeyPath, problem: str, cure: str = "") -> None:
        self.findings.append(Finding(path, self._line(path), problem, cure))


def _without_mention(text: str) -> tuple[str, bool]:
    """Return a text without the leading mention, and whether it had one."""
    stripped = text.strip()
    head, _, rest = stripped.partition(" ")
    return (rest.strip(), True) if head == MENTION else (stripped, False)


def _shown(path: KeyPath) -> str:
    """Return `path` as ``steps[0].say``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "(file)"
