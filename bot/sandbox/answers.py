"""What the bot said, as the vendor understands it: passive answers (XML) and active sends (JSON).

Source: passive reply types and message types of both vendors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.sandbox.cards import title_of
from bot.sandbox.wire import UndecodableAnswerError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.channel import Kind, SandboxChannel

TEXT_LIMIT_BYTES = 2048
"""Longest text of either vendor, UTF-8 bytes."""

CARD_ANSWERS = frozenset({"update_button", "update_template_card"})
"""Passive answers that change the card that was clicked."""
_LABELS = {
    "image": "图片 image",
    "voice": "语音 voice",
    "video": "视频 video",
    "shortvideo": "短视频 short video",
    "music": "音乐 music",
    "file": "文件 file",
    "location": "位置 location",
    "link": "链接 link",
    "news": "图文 news",
    "mixed": "图文混排 mixed",
    "miniprogram_notice": "小程序 mini program",
    "miniprogrampage": "小程序 mini program",
    "textcard": "卡片 card",
    "template_card": "卡片 card",
    "transfer_customer_service": "转人工客服 human agent",
}
# The element (XML) that a passive answer of each type must carry, with what must stand in it.
_REQUIRED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "text": ("", ("Content",)),
    "image": ("Image", ("MediaId",)),
    "voice": ("Voice", ("MediaId",)),
    "video": ("Video", ("MediaId",)),
    "music": ("Music", ("ThumbMediaId",)),
    "news": ("", ("ArticleCount", "Articles")),
    "transfer_customer_service": ("", ()),
    "update_button": ("Button", ("ReplaceName",)),
    "update_template_card": ("", ("TemplateCard",)),
}
_ONLY: Mapping[Kind, frozenset[str]] = {
    "wecom_app": frozenset(
        {"text", "image", "voice", "video", "news", "update_button", "update_template_card"}
    ),
    "wechat_oa": frozenset({"text", "image", "voice", "video", "music", "news", "transfer_customer_service"}),
}


@dataclass(frozen=True, slots=True)
class Said:
    """One thing the bot said.

    Attributes:
        kind: The vendor's message type.
        text: The words of a text; for the rest one line that a person can read.
        fields: The vendor's fields of that type, as they came.
    """

    kind: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def read_passive(channel: SandboxChannel, user_id: str, inner: str) -> Said:
    """Return what a passive answer says.

    Raises:
        UndecodableAnswerError: sender or receiver are not swapped, a field of its type is missing, the
            type cannot be a passive answer of this vendor, or its text is longer than the Official
            Account takes.
    """
    fields = parse(inner)
    if fields.get("ToUserName") != user_id or fields.get("FromUserName") != channel.account_id:
        raise UndecodableAnswerError("ToUserName and FromUserName are not those of the callback, swapped")
    if not str(fields.get("CreateTime", "")).isdigit():
        raise UndecodableAnswerError("CreateTime is not a number")
    kind = str(fields.get("MsgType", ""))
    if kind not in _ONLY[channel.kind]:
        raise UndecodableAnswerError(f"{kind or 'nothing'} cannot be a passive answer here")
    wrapper, required = _REQUIRED[kind]
    inside = fields.get(wrapper) if wrapper else fields
    missing = [name for name in required if not isinstance(inside, dict) or not inside.get(name)]
    if missing:
        raise UndecodableAnswerError(f"{kind} lacks {', '.join(missing)}")
    assert isinstance(inside, dict)
    said = _said(kind, inside, _articles(fields))
    if channel.kind == "wechat_oa" and len(said.text.encode()) > TEXT_LIMIT_BYTES and kind == "text":
        raise UndecodableAnswerError(f"a text longer than {TEXT_LIMIT_BYTES} bytes")
    return said


def read_active(kind: str, body: Mapping[str, Any]) -> Said:
    """Return what an active send says; `body` is the JSON object named after its type."""
    if kind in {"text", "markdown"}:
        return Said(kind, str(body.get("content", "")), dict(body))
    if kind == "template_card":
        return Said(kind, describe(kind, title_of(body)), dict(body))
    articles = body.get("articles")
    titles = [str(item.get("title", "")) for item in articles] if isinstance(articles, list) else []
    return Said(kind, describe(kind, _title(body), *titles), dict(body))


def describe(kind: str, *details: str) -> str:
    """Return one readable line for something that is not a text."""
    return " ".join([f"[{_LABELS.get(kind, kind)}]", *(detail for detail in details if detail)])


def cut(text: str, limit_bytes: int = TEXT_LIMIT_BYTES) -> str:
    """Return the start of `text` that fits, never ending inside a character."""
    return text.encode()[:limit_bytes].decode(errors="ignore")


def _said(kind: str, inside: Mapping[str, Any], titles: list[str]) -> Said:
    fields = {
        name: value
        for name, value in inside.items()
        if name not in {"ToUserName", "FromUserName", "CreateTime", "MsgType"}
    }
    if kind == "text":
        return Said(kind, str(inside["Content"]), fields)
    return Said(kind, describe(kind, _title(inside), *titles), fields)


def _title(fields: Mapping[str, Any]) -> str:
    names = ("Title", "title", "MediaId", "media_id", "ReplaceName")
    return next((str(fields[name]) for name in names if fields.get(name)), "")


def _articles(fields: Mapping[str, Any]) -> list[str]:
    articles = fields.get("Articles")
    items = articles.get("item") if isinstance(articles, dict) else None
    if isinstance(items, dict):
        items = [items]
    return [str(item.get("Title") or "") for item in items or [] if isinstance(item, dict)]
