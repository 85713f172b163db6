"""What an AI bot answers with, as the JSON that both its modes take: callbacks and the long connection.

Source: WeCom, AI bot, replies in URL mode; long connection.
"""

from __future__ import annotations

from typing import Any

from bot.model import CardUpdate, TemplateCard
from bot.platforms.wecom.card_json import card_json


def text_body(content: str) -> dict[str, Any]:
    """Return a plain text, which answers the opening of a chat alone."""
    return {"msgtype": "text", "text": {"content": content}}


def stream_body(stream_id: str, content: str, *, finish: bool) -> dict[str, Any]:
    """Return the state of a stream; `content` is the whole text so far and replaces what was shown."""
    return {"msgtype": "stream", "stream": {"id": stream_id, "finish": finish, "content": content}}


def card_body(card: TemplateCard) -> dict[str, Any]:
    """Return a card.

    Raises:
        ValueError: It breaks a limit of the platform.
    """
    return {"msgtype": "template_card", "template_card": card_json(card)}


def update_body(update: CardUpdate, clicked_by: str) -> dict[str, Any]:
    """Return what a clicked card turns into, for those it names or else for who clicked.

    Raises:
        ValueError: The card breaks a limit of the platform.
    """
    return {
        "response_type": "update_template_card",
        "userids": list(update.user_ids) or [clicked_by],
        "template_card": card_json(update.card),
    }
