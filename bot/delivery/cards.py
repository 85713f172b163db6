"""Whether a platform would take a template card, asked before anything is sent."""

from __future__ import annotations

from bot.model import CardUpdate, TemplateCard
from bot.platforms.replies import BUTTON_UPDATE
from bot.platforms.wecom.card_json import card_json


def card_fault(part: TemplateCard | CardUpdate) -> str:
    """Return what is wrong with a card, field first (``buttons: 7, at most 6``); empty for nothing."""
    card = part.card if isinstance(part, CardUpdate) else part
    if isinstance(part, CardUpdate) and card.card_type == BUTTON_UPDATE:
        return "" if card.submit is not None and card.submit.text else "submit: needs the button's new text"
    try:
        card_json(card)
    except ValueError as error:
        return str(error)
    return ""
