"""Template cards as the vendor checks them, and what of them was shown to whom.

Source: WeCom, self-built app, template card limits; group robot and AI bot, which card types each takes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.errors import RefusedError

if TYPE_CHECKING:
    from bot.sandbox.room import Entry

CARD_TYPES = frozenset(
    {"text_notice", "news_notice", "button_interaction", "vote_interaction", "multiple_interaction"}
)
ROBOT_CARD_TYPES = frozenset({"text_notice", "news_notice"})
"""A robot hears no clicks, so it sends no cards with buttons."""
CLICKABLE_TYPES = CARD_TYPES - ROBOT_CARD_TYPES
_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
_BUTTON_KEY_BYTES = 1024
_UPDATE_FOR_MS = 72 * 3_600_000
_KEPT_CARDS = 4096
_LISTS = (
    ("button_list", 6), ("select_list", 3), ("horizontal_content_list", 6), ("jump_list", 3),
)  # fmt: skip
_OPTIONS = 10
_VOTE_OPTIONS = 20


class CardError(ValueError):
    """A card the vendor refuses; `limit` names the documented limit it is over, "" for another mistake."""

    def __init__(self, problem: str, limit: str = "") -> None:
        """Carry the problem and the limit's name."""
        self.limit = limit
        super().__init__(problem)


def check_card(card: object, types: frozenset[str] = CARD_TYPES) -> Mapping[str, Any]:
    """Return a card that the vendor takes.

    Raises:
        CardError: It does not.
    """
    if not isinstance(card, Mapping) or card.get("card_type") not in types:
        raise CardError(f"card_type is not one of {', '.join(sorted(types))}")
    task_id = card.get("task_id")
    if task_id is None and card["card_type"] in CLICKABLE_TYPES:
        raise CardError("task_id is missing", "card_task_id")
    if task_id is not None and (not isinstance(task_id, str) or not _TASK_ID.fullmatch(task_id)):
        raise CardError("task_id is 1 to 128 of 0-9 A-Z a-z _ - @", "card_task_id")
    for name, most in _LISTS:
        if len(_list(card, name)) > most:
            raise CardError(f"{name} has more than {most}", f"card_{name}")
    _check_buttons(card)
    _check_selections(card)
    menu = card.get("action_menu")
    if isinstance(menu, Mapping) and not 1 <= len(_list(menu, "action_list")) <= 3:
        raise CardError("action_list has 1 to 3", "card_action_list")
    return card


def title_of(card: Mapping[str, Any]) -> str:
    """Return the words that name a card in one line."""
    title = card.get("main_title")
    if isinstance(title, Mapping):
        return str(title.get("title") or title.get("desc") or "")
    return str(card.get("sub_title_text", ""))


def _check_buttons(card: Mapping[str, Any]) -> None:
    buttons = _list(card, "button_list")
    if card["card_type"] == "button_interaction" and not buttons:
        raise CardError("button_list is empty", "card_button_list")
    for button in buttons:
        # A button of type 1 opens an address and has no key.
        key = button.get("key") if isinstance(button, Mapping) else None
        is_link = isinstance(button, Mapping) and button.get("type") == 1 and button.get("url")
        if not is_link and (not isinstance(key, str) or not 1 <= len(key.encode()) <= _BUTTON_KEY_BYTES):
            raise CardError(f"a button's key is 1 to {_BUTTON_KEY_BYTES} bytes", "card_button_key")


def _check_selections(card: Mapping[str, Any]) -> None:
    votes = card["card_type"] == "vote_interaction"
    checkbox = card.get("checkbox")
    most = _VOTE_OPTIONS if votes else _OPTIONS
    if votes and not (isinstance(checkbox, Mapping) and 1 <= len(_list(checkbox, "option_list")) <= most):
        raise CardError(f"checkbox.option_list has 1 to {most}", "card_option_list")
    if card["card_type"] == "multiple_interaction" and not _list(card, "select_list"):
        raise CardError("select_list is empty", "card_select_list")
    selection = card.get("button_selection")
    for select in [*_list(card, "select_list"), *([selection] if selection is not None else [])]:
        if not isinstance(select, Mapping) or not 1 <= len(_list(select, "option_list")) <= _OPTIONS:
            raise CardError(f"option_list has 1 to {_OPTIONS}", "card_option_list")
        if not select.get("question_key"):
            raise CardError("question_key is missing")


def _list(card: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = card.get(name, ())
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise CardError(f"{name} is not a list")
    return value


def card_of_xml(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card of a passive answer (CardType, ButtonList, …) as the JSON of sends spells it."""
    return {_snake(name): _of_xml(name, value) for name, value in fields.items()}


def _of_xml(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        inner = card_of_xml(value)
        return [inner] if name.endswith("List") else inner
    if isinstance(value, list):  # an element that stands several times
        return [_of_xml("", item) for item in value]
    return value


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def clicked(
    entry: Entry, card: Mapping[str, Any], button_key: str, selections: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return what a click on a card says: ``card_type``, ``event_key``, ``task_id``, ``selected_items``.

    Raises:
        RefusedError: The line is not a card that can be clicked, or has no such button or option.
    """
    kind = card.get("card_type")
    if entry.kind != "template_card" or not isinstance(kind, str):
        raise RefusedError("this line is not a card")
    if kind not in CLICKABLE_TYPES:
        raise RefusedError(f"a {kind} card has nothing to click")
    _check_button(card, button_key)
    options = _options(card)
    for question, chosen in selections.items():
        unknown = [option for option in chosen if option not in options.get(question, ())]
        if unknown or question not in options:
            raise RefusedError(f"the card has no question {question!r} with {', '.join(unknown)}")
    items = [
        {"question_key": question, "option_ids": {"option_id": list(chosen)}}
        for question, chosen in selections.items()
    ]
    said = {"card_type": kind, "event_key": button_key, "task_id": str(card.get("task_id", ""))}
    return {**said, "selected_items": {"selected_item": items}} if items else said


def _check_button(card: Mapping[str, Any], button_key: str) -> None:
    keys = [str(button["key"]) for button in card.get("button_list", ()) if button.get("key")]
    submit = card.get("submit_button")
    if isinstance(submit, Mapping) and submit.get("key"):
        keys.append(str(submit["key"]))
    menu = card.get("action_menu")
    if isinstance(menu, Mapping):
        keys += [str(item["key"]) for item in menu.get("action_list", ()) if item.get("key")]
    if button_key not in keys:
        raise RefusedError(f"the card has no button {button_key!r}; it has: {', '.join(keys) or 'none'}")


def _options(card: Mapping[str, Any]) -> dict[str, list[str]]:
    questions = [*card.get("select_list", ())]
    # A vote's only question, and the one above the buttons of a card.
    questions += [
        card[name] for name in ("checkbox", "button_selection") if isinstance(card.get(name), Mapping)
    ]
    return {
        str(question.get("question_key", "")): [
            str(option.get("id", "")) for option in question.get("option_list", ())
        ]
        for question in questions
    }


@dataclass(slots=True)
class _Shown:
    entry_ids: tuple[int, ...]
    at_ms: int


@dataclass(slots=True)
class CardBook:
    """Which cards can still be updated by which code; a code is good once, for 72 hours."""

    _codes: dict[str, _Shown] = field(default_factory=dict)
    _make_code: Callable[[], str] = field(default=lambda: secrets.token_urlsafe(24))
    _tasks: dict[str, int] = field(default_factory=dict)

    def issue(self, entry_ids: tuple[int, ...], at_ms: int) -> str:
        """Return a code that updates these cards."""
        code = self._make_code()
        self._codes[code] = _Shown(entry_ids, at_ms)
        if len(self._codes) > _KEPT_CARDS:
            del self._codes[next(iter(self._codes))]
        return code

    def spend(self, code: str, at_ms: int) -> tuple[int, ...] | None:
        """Return the cards of a code that is good, and use it up; None for one that is not."""
        shown = self._codes.pop(code, None)
        if shown is None or at_ms - shown.at_ms > _UPDATE_FOR_MS:
            return None
        return shown.entry_ids

    def is_new_task(self, task_id: str) -> bool:
        """Whether no card of this channel had this task id before; it has one now."""
        if task_id in self._tasks:
            return False
        self._tasks[task_id] = 1
        if len(self._tasks) > _KEPT_CARDS:
            del self._tasks[next(iter(self._tasks))]
        return True
