"""Parts of replies as the body of the frames that carry them.

A text goes as a stream in answer to a message, as ``text`` in a welcome, and as ``markdown`` in a message of
our own, which has no kind ``text``.

Source: WeCom, AI bot, replies in URL mode; long connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.errors import PlatformApiError
from bot.model import CardUpdate, File, Image, Markdown, Part, TemplateCard, Text, Video, Voice
from bot.platforms.wecom import aibot_bodies

BAD_PART = 40058  # "parameter invalid": what the platform would say


def welcome_body(part: Text | Markdown | TemplateCard) -> dict[str, Any]:
    """Return the answer to the opening of a chat."""
    if isinstance(part, TemplateCard):
        return _refused_or(aibot_bodies.card_body, part)
    return aibot_bodies.text_body(part.text)


def message_body(part: Part, media_id: str = "") -> dict[str, Any]:
    """Return a message of our own, or an answer that is no stream; `media_id` names uploaded bytes.

    Raises:
        PlatformApiError: The connection has no message of this kind, or the card breaks a limit.
    """
    match part:
        case Text() | Markdown():
            return {"msgtype": "markdown", "markdown": {"content": part.text}}
        case TemplateCard():
            return _refused_or(aibot_bodies.card_body, part)
        case Video():
            titles = {"title": part.title, "description": part.description}
            video = {name: text for name, text in titles.items() if text}
            return {"msgtype": part.kind, part.kind: {"media_id": media_id, **video}}
        case Image() | Voice() | File():
            return {"msgtype": part.kind, part.kind: {"media_id": media_id}}
    raise refused(f"a part of kind {part.kind} is no message of its own")


def update_body(update: CardUpdate, clicked_by: str) -> dict[str, Any]:
    """Return what a clicked card turns into.

    Raises:
        PlatformApiError: The card breaks a limit.
    """
    return _refused_or(aibot_bodies.update_body, update, clicked_by)


def _refused_or(make: Callable[..., dict[str, Any]], *values: object) -> dict[str, Any]:
    """Return what `make` makes of `values`, or refuse as the platform would."""
    try:
        return make(*values)
    except ValueError as error:
        raise refused(str(error)) from None


def refused(why: str) -> PlatformApiError:
    """Return the error of a part that we know the platform would refuse."""
    return PlatformApiError(platform="wecom_aibot", endpoint="body", errcode=BAD_PART, errmsg=why)
