"""Parts as the vendors' send calls name them; both use the same names for most."""

from __future__ import annotations

from typing import Any

from bot.model import File, Image, Markdown, News, Part, TemplateCard, Text, Video, Voice
from bot.part_codec import encode_parts
from bot.platforms.wecom.card_json import card_json


def message_body(part: Part, media_id: str = "") -> dict[str, Any]:
    """Return ``msgtype`` and the object named after it; `media_id` is that of an uploaded part.

    Source: WeCom, self-built app, message/send; appchat; Official Account, customer-service messages.

    Raises:
        ValueError: The vendors would refuse it, or name it each in their own way.
    """
    match part:
        case Text() | Markdown():
            body: dict[str, Any] = {"content": part.text}
        case Image() | Voice() | File():
            body = {"media_id": media_id or part.media_id}
        case Video():
            body = {
                "media_id": media_id or part.media_id,
                "title": part.title,
                "description": part.description,
            }
        case News():
            body = {
                "articles": [
                    {"title": a.title, "description": a.description, "url": a.url, "picurl": a.picture_url}
                    for a in part.articles
                ]
            }
        case TemplateCard():
            body = card_json(part)
        case _:
            raise ValueError("kind: this call has none like it")
    return {"msgtype": part.kind, part.kind: body}


def content_of(part: Part) -> bytes:
    """Return what makes a part the same as another one, whatever it is."""
    return encode_parts((part,)).encode()
