"""Template cards as WeCom's JSON names them: in ``message/send``, from group robots and from AI bots.

Source: WeCom, self-built app, message/send (template card limits); AI bot, replies; group robot webhook.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bot.model import CardButton, CardQuestion, CardUpdate, TemplateCard

CARD_TYPES = (
    "text_notice", "news_notice", "button_interaction", "vote_interaction", "multiple_interaction",
)  # fmt: skip

TASK_ID_LIMIT_BYTES = 128
BUTTON_KEY_LIMIT_BYTES = 1024
MOST_BUTTONS = 6
MOST_QUESTIONS = 3  # of a multiple_interaction; a vote has one
MOST_OPTIONS = 10
MOST_VOTE_OPTIONS = 20
MOST_LINES = 6
MOST_LINKS = 3

_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
_TO_URL = 1  # of jump_list and card_action: opens a page
_NOTICES = ("text_notice", "news_notice")
_QUESTION_LIMITS = {  # questions, options of each
    "vote_interaction": (1, MOST_VOTE_OPTIONS),
    "multiple_interaction": (MOST_QUESTIONS, MOST_OPTIONS),
}


def card_json(card: TemplateCard) -> dict[str, Any]:
    """Return the object that stands under ``template_card``.

    Raises:
        ValueError: A field is missing, or above the platform's limits; the text begins with its name.
    """
    check_card(card)
    shown = {
        "task_id": card.task_id,
        "source": _without_empty(desc=card.source),
        "horizontal_content_list": [{"keyname": name, "value": value} for name, value in card.lines],
        "jump_list": [{"type": _TO_URL, "title": text, "url": url} for text, url in card.links],
        "card_action": {"type": _TO_URL, "url": card.url} if card.url else {},
        "card_image": _without_empty(url=card.picture_url),
        "button_list": [_button(button) for button in card.buttons],
        **_questions(card),
        "submit_button": {"text": card.submit.text, "key": card.submit.key} if card.submit else {},
    }
    return {
        "card_type": card.card_type,
        "main_title": _without_empty(title=card.title, desc=card.description),
        **{name: value for name, value in shown.items() if value},
    }


def update_json(update: CardUpdate, clicked_by: str) -> dict[str, Any]:
    """Return the answer by which an AI bot changes a card that `clicked_by` has clicked.

    Raises:
        ValueError: The card breaks a limit; see `card_json`.
    """
    return {
        "response_type": "update_template_card",
        "userids": list(update.user_ids) or [clicked_by],
        "template_card": card_json(update.card),
    }


def check_card(card: TemplateCard) -> None:
    """Accept a card that the platform would accept.

    Raises:
        ValueError: A field is missing, or above the platform's limits; the text begins with its name.
    """
    if card.card_type not in CARD_TYPES:
        raise ValueError(f"card_type is one of {', '.join(CARD_TYPES)}, not {card.card_type!r}")
    if not card.title:
        raise ValueError("title must not be empty")
    _most("lines", card.lines, MOST_LINES)
    _most("links", card.links, MOST_LINKS)
    _most("buttons", card.buttons, MOST_BUTTONS)
    _check_task_id(card)
    _check_url(card)
    _check_buttons(card)
    _check_questions(card)


def _check_task_id(card: TemplateCard) -> None:
    if card.task_id and _TASK_ID.fullmatch(card.task_id) is None:
        raise ValueError(
            f"task_id has 1 to {TASK_ID_LIMIT_BYTES} digits, ASCII letters, _, - or @, not {card.task_id!r}"
        )
    if card.card_type not in _NOTICES and not card.task_id:
        raise ValueError(f"task_id must not be empty on a {card.card_type}")


def _check_url(card: TemplateCard) -> None:
    if card.card_type in _NOTICES and not card.url:
        raise ValueError(f"url must not be empty on a {card.card_type}")
    if card.card_type == "news_notice" and not card.picture_url:
        raise ValueError("picture_url must not be empty on a news_notice")


def _check_buttons(card: TemplateCard) -> None:
    if card.card_type == "button_interaction":
        if not card.buttons:
            raise ValueError("buttons must not be empty on a button_interaction")
    elif card.buttons:
        raise ValueError(f"buttons are none of a {card.card_type}")
    for button in card.buttons:
        _check_button("buttons", button)


def _check_button(name: str, button: CardButton) -> None:
    if not button.text:
        raise ValueError(f"{name}: the text of a button must not be empty")
    if not 1 <= len(button.key.encode("utf-8", "replace")) <= BUTTON_KEY_LIMIT_BYTES:
        raise ValueError(f"{name}: the key of a button has 1 to {BUTTON_KEY_LIMIT_BYTES} bytes")


def _check_questions(card: TemplateCard) -> None:
    limits = _QUESTION_LIMITS.get(card.card_type)
    if limits is None:
        for name, said in (("questions", card.questions), ("submit", card.submit)):
            if said:
                raise ValueError(f"{name} is nothing a {card.card_type} has")
        return
    most, most_options = limits
    if not card.questions:
        raise ValueError(f"questions must not be empty on a {card.card_type}")
    _most("questions", card.questions, most)
    for question in card.questions:
        _check_question(question, most_options)
    if card.submit is None:
        raise ValueError(f"submit must not be empty on a {card.card_type}")
    _check_button("submit", card.submit)


def _check_question(question: CardQuestion, most_options: int) -> None:
    if not question.key:
        raise ValueError("questions: the key of a question must not be empty")
    if not 1 <= len(question.options) <= most_options:
        raise ValueError(
            f"questions: a question has 1 to {most_options} options, not {len(question.options)}"
        )


def _most(name: str, items: Sequence[object], most: int) -> None:
    if len(items) > most:
        raise ValueError(f"{name}: at most {most}, not {len(items)}")


def _button(button: CardButton) -> dict[str, Any]:
    return {"text": button.text, "style": button.style, "key": button.key}


def _questions(card: TemplateCard) -> dict[str, Any]:
    if card.card_type == "vote_interaction":
        return {"checkbox": _checkbox(card.questions[0])}
    return {"select_list": [_selection(question) for question in card.questions]}


def _checkbox(question: CardQuestion) -> dict[str, Any]:
    return {
        "question_key": question.key,
        "mode": 1 if question.multiple else 0,
        "option_list": [{"id": id_, "text": text} for id_, text in question.options],
    }


def _selection(question: CardQuestion) -> dict[str, Any]:
    return {
        "question_key": question.key,
        **_without_empty(title=question.title),
        "option_list": [{"id": id_, "text": text} for id_, text in question.options],
    }


def _without_empty(**fields: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}
