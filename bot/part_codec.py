"""Parts of replies as the JSON that stores keep and the API shows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import orjson

from bot.model import (
    Article,
    CardButton,
    CardQuestion,
    CardUpdate,
    File,
    Image,
    Markdown,
    MiniProgram,
    News,
    Part,
    TemplateCard,
    Text,
    Video,
    Voice,
)

_SIMPLE: dict[str, type[Text | Markdown | Image | Voice | Video | File]] = {
    part.kind: part for part in (Text, Markdown, Image, Voice, Video, File)
}


PART_KINDS = (*_SIMPLE, News.kind, MiniProgram.kind, TemplateCard.kind, CardUpdate.kind)
"""Every kind of part, as `kind` names it."""


def encode_parts(parts: Sequence[Part]) -> str:
    """Return parts as the JSON that is stored and shown: ``[{"kind": "text", "text": …}, …]``.

    What UTF-8 cannot carry (half of a surrogate pair) becomes a question mark.
    """
    rows = [{"kind": part.kind, **_without_defaults(part)} for part in parts]
    try:
        return orjson.dumps(rows).decode()
    except orjson.JSONEncodeError:
        return orjson.dumps(encodable(rows)).decode()


def _without_defaults(part: Part) -> dict[str, Any]:
    """Return the fields that say something."""
    row = asdict(part)
    return {
        field.name: row[field.name] for field in fields(part) if getattr(part, field.name) != field.default
    }


def decode_parts(encoded: str | bytes) -> tuple[Part, ...]:
    """Return the parts that `encode_parts` wrote; a field that is missing has its default.

    Raises:
        ValueError: It is not such a text.
    """
    try:
        return tuple(read_part(row) for row in orjson.loads(encoded))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a list of parts: {type(error).__name__}") from error


def read_part(row: dict[str, Any]) -> Part:
    """Return one part of its JSON object.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: It is none.
    """
    said = dict(row)
    kind = said.pop("kind")
    if kind == News.kind:
        return News(tuple(Article(**article) for article in said["articles"]))
    if kind == TemplateCard.kind:
        return _card(said)
    if kind == CardUpdate.kind:
        return CardUpdate(_card(said["card"]), tuple(said.get("user_ids", ())))
    if kind == MiniProgram.kind:
        return MiniProgram(**{**said, "lines": _pairs(said.get("lines", ()))})
    if "mentions" in said:
        said["mentions"] = tuple(said["mentions"])
    return _SIMPLE[kind](**said)


def _card(said: dict[str, Any]) -> TemplateCard:
    submit = said.get("submit")
    return TemplateCard(
        **{
            **said,
            "lines": _pairs(said.get("lines", ())),
            "links": _pairs(said.get("links", ())),
            "buttons": tuple(CardButton(**button) for button in said.get("buttons", ())),
            "questions": tuple(
                CardQuestion(**{**question, "options": _pairs(question["options"])})
                for question in said.get("questions", ())
            ),
            "submit": CardButton(**submit) if submit else None,
        }
    )


def _pairs(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in rows)


def encodable(value: Any) -> Any:
    """Return what JSON can say of `value`: half of a surrogate pair becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encodable(item) for item in value]
    return value
