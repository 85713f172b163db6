"""Parts as the vendors' send calls name them; both use the same names."""

from __future__ import annotations

from typing import Any

from bot.model import Image, News, Part, Text, Video, Voice


def message_body(part: Part) -> dict[str, Any]:
    """Return ``msgtype`` and the object named after it.

    Source: WeCom, self-built app, message/send; Official Account, customer-service messages.
    """
    match part:
        case Text():
            body: dict[str, Any] = {"content": part.text}
        case Image() | Voice():
            body = {"media_id": part.media_id}
        case Video():
            body = {"media_id": part.media_id, "title": part.title, "description": part.description}
        case News():
            body = {
                "articles": [
                    {"title": a.title, "description": a.description, "url": a.url, "picurl": a.picture_url}
                    for a in part.articles
                ]
            }
    return {"msgtype": part.kind, part.kind: body}
