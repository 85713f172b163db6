"""Template cards as WeCom's calls take them; checked against the platform's limits first.

Source: WeCom, self-built app, message/send (template card limits); group robot webhook.
"""

from __future__ import annotations

import re
from typing import Any

from bot.model import CardButton, CardQuestion, TemplateCard

CARD_TYPES = frozenset(
    {"text_notice", "news_notice", "button_interaction", "vote_interaction", "multiple_interaction"}
)
MOST_LINES, MOST_LINKS, MOST_BUTTONS, MOST_QUESTIONS = 6, 3, 6, 3
MOST_OPTIONS, MOST_VOTE_OPTIONS = 10, 20
TASK_ID_BYTES, KEY_BYTES = 128, 1024
_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]*")
_STYLES = range(1, 5)
_NOTICES = frozenset({"text_notice", "news_notice"})
_INTERACTIONS = CARD_TYPES - _NOTICES


def card_json(card: TemplateCard) -> dict[str, Any]:
    """Return the object ``template_card``.

    Raises:
        ValueError: The platform would refuse the card; the text begins with the field's name and a colon.
    """
    _check(card)
    body: dict[str, Any] = {"card_type": card.card_type, "main_title": {"title": card.title}}
    if card.description:
        body["main_title"]["desc"] = card.description
    if card.source:
        body["source"] = {"desc": card.source}
    if card.lines:
        body["horizontal_content_list"] = [{"keyname": name, "value": value} for name, value in card.lines]
    if card.links:
        body["jump_list"] = [{"type": 1, "title": text, "url": url} for text, url in card.links]
    if card.url:
        body["card_action"] = {"type": 1, "url": card.url}
    if card.picture_url:
        body["card_image"] = {"url": card.picture_url}
    if card.task_id:
        body["task_id"] = card.task_id
    return body | _interaction(card)


def _interaction(card: TemplateCard) -> dict[str, Any]:
    """Return what people can press and choose."""
    body: dict[str, Any] = {}
    if card.card_type == "button_interaction":
        body["button_list"] = [
            {"text": button.text, "style": button.style, "key": button.key} for button in card.buttons
        ]
        if card.questions:
            body["button_selection"] = _selection(card.questions[0])
    elif card.card_type == "vote_interaction":
        (question,) = card.questions
        body["checkbox"] = {
            "question_key": question.key,
            "mode": int(question.multiple),
            "option_list": _options(question),
        }
    elif card.card_type == "multiple_interaction":
        body["select_list"] = [_selection(question) for question in card.questions]
    if card.submit is not None:
        body["submit_button"] = {"text": card.submit.text, "key": card.submit.key}
    return body


def _selection(question: CardQuestion) -> dict[str, Any]:
    body: dict[str, Any] = {"question_key": question.key, "option_list": _options(question)}
    return {**body, "title": question.title} if question.title else body


def _options(question: CardQuestion) -> list[dict[str, str]]:
    return [{"id": id_, "text": text} for id_, text in question.options]


# ---------------------------------------------------------------- limits


def _check(card: TemplateCard) -> None:
    """Refuse (ValueError) what the platform refuses."""
    if card.card_type not in CARD_TYPES:
        raise ValueError(f"card_type: {card.card_type!r} is none of {', '.join(sorted(CARD_TYPES))}")
    if not card.title:
        raise ValueError("title: must not be empty")
    if not _TASK_ID.fullmatch(card.task_id) or len(card.task_id) > TASK_ID_BYTES:
        raise ValueError(f"task_id: at most {TASK_ID_BYTES} letters, digits, _, - and @")
    _at_most("lines", len(card.lines), MOST_LINES)
    _at_most("links", len(card.links), MOST_LINKS)
    for number, (_, url) in enumerate(card.links):
        if not url:
            raise ValueError(f"links[{number}]: needs an address")
    if card.card_type in _NOTICES and not card.url:
        raise ValueError(f"url: a {card.card_type} needs what a tap on it opens")
    if card.card_type == "news_notice" and not card.picture_url:
        raise ValueError("picture_url: a news_notice needs a picture")
    if card.card_type in _INTERACTIONS and not card.task_id:
        raise ValueError(f"task_id: a {card.card_type} needs one")
    _check_buttons(card)
    _check_questions(card)


def _check_buttons(card: TemplateCard) -> None:
    if card.card_type == "button_interaction":
        if not card.buttons:
            raise ValueError("buttons: a button_interaction needs at least one")
    elif card.buttons:
        raise ValueError(f"buttons: a {card.card_type} has none")
    _at_most("buttons", len(card.buttons), MOST_BUTTONS)
    for number, button in enumerate(card.buttons):
        _check_button(f"buttons[{number}]", button)
    asks = card.card_type in {"vote_interaction", "multiple_interaction"}
    if asks and card.submit is None:
        raise ValueError(f"submit: a {card.card_type} needs a button that sends the answers")
    if card.submit is not None:
        if not asks:
            raise ValueError(f"submit: a {card.card_type} has none")
        _check_button("submit", card.submit)


def _check_button(field: str, button: CardButton) -> None:
    if not button.text or not button.key:
        raise ValueError(f"{field}: needs a text and a key")
    if len(button.key.encode()) > KEY_BYTES:
        raise ValueError(f"{field}: a key has at most {KEY_BYTES} bytes")
    if button.style not in _STYLES:
        raise ValueError(f"{field}: style is 1 to 4")


def _check_questions(card: TemplateCard) -> None:
    count, kind = len(card.questions), card.card_type
    least, most = {
        "button_interaction": (0, 1),
        "vote_interaction": (1, 1),
        "multiple_interaction": (1, MOST_QUESTIONS),
    }.get(kind, (0, 0))
    if not least <= count <= most:
        raise ValueError(f"questions: {count}; a {kind} has {least} to {most}")
    most_options = MOST_VOTE_OPTIONS if kind == "vote_interaction" else MOST_OPTIONS
    for number, question in enumerate(card.questions):
        field = f"questions[{number}]"
        if not question.key or len(question.key.encode()) > KEY_BYTES:
            raise ValueError(f"{field}: needs a key of at most {KEY_BYTES} bytes")
        if not 1 <= len(question.options) <= most_options:
            raise ValueError(f"{field}.options: {len(question.options)}; 1 to {most_options} are taken")
        if not all(id_ and text for id_, text in question.options):
            raise ValueError(f"{field}.options: each needs an id and a text")
        if len({id_ for id_, _ in question.options}) < len(question.options):
            raise ValueError(f"{field}.options: an id stands twice")


def _at_most(field: str, count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"{field}: {count}, at most {most}")
