"""Makes the parts of a reply fit a channel: kinds it takes, sizes it takes, and as few messages as may be.

In this order: a kind the channel does not take becomes another (`bot.delivery.degrade`), mentions it has no
way for are written out, texts that follow each other are joined where the channel wants that, and what is too
long is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from bot.delivery.degrade import ALL_MENTION, degraded
from bot.delivery.markdown import plain_text, split_markdown
from bot.delivery.routes import Abilities
from bot.delivery.split import split_text
from bot.model import Markdown, News, Part, Text

_LONGEST_CHARACTER_BYTES = 4
_MENTION = re.compile(r"<@([^<>\s]{1,80})>")
_BETWEEN = "\n\n"  # two texts in one message


def fit_parts(parts: Iterable[Part], row: Abilities, kinds: frozenset[str] | None = None) -> tuple[Part, ...]:
    """Return `parts` as the channel takes them, in order.

    `kinds` are those of one of its ways; None is all it takes by any way. A part that nothing can stand for
    stays as it is, and so dies where it is to be sent, for all to see. Pieces of text that hold nothing but
    white space are left out, since platforms refuse them.
    """
    parts = tuple(parts)
    if len(parts) == 1 and _fits(parts[0], row):
        return parts
    if kinds is None:
        kinds = row.passive_parts | row.active_parts
    taken = [_mentioning(degraded(part, row, kinds), row, kinds) for part in parts]
    if row.joins_texts:
        taken = list(_joined(taken))
    return tuple(piece for part in taken for piece in _pieces(part, row))


def _fits(part: Part, row: Abilities) -> bool:
    """Whether a part is a short text with nothing special, as nearly all are, where every way takes texts."""
    return (
        type(part) is Text
        and not part.mentions
        and ("text" in row.passive_parts or not row.passive_parts)
        and ("text" in row.active_parts or not row.active_parts)
        and len(part.text) * _LONGEST_CHARACTER_BYTES <= row.text_limit_bytes
        and bool(part.text.strip())
    )


# ---------------------------------------------------------------- mentions


def _mentioning(part: Part, row: Abilities, kinds: frozenset[str]) -> Part:
    """Return a text that mentions people in the channel's way, or names them where it has none."""
    if isinstance(part, Text):
        if row.mentions or not part.mentions:
            return part
        return Text(_named(part.mentions) + part.text)
    if not isinstance(part, Markdown):
        return part
    if not row.mentions:
        return Markdown(_named(part.mentions) + _MENTION.sub(r"@\1", part.text))
    if ALL_MENTION in part.mentions and "text" in kinds:
        return Text(plain_text(part.text), part.mentions)  # there is no mark for all
    marks = "".join(f"<@{user_id.removeprefix('@')}> " for user_id in part.mentions)
    return Markdown(marks + part.text)


def _named(mentions: Sequence[str]) -> str:
    return "".join(f"@{user_id.removeprefix('@')} " for user_id in mentions)


# ---------------------------------------------------------------- joining and cutting


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Join texts that follow each other; with Markdown among them, all of it is Markdown."""
    for are_texts, group in groupby(parts, lambda part: isinstance(part, Text | Markdown)):
        if not are_texts:
            yield from group
            continue
        texts = [part for part in group if isinstance(part, Text | Markdown) and part.text.strip()]
        if len(texts) < 2:
            yield from texts
            continue
        whole = _BETWEEN.join(part.text.strip("\n") for part in texts)
        mentions = tuple(dict.fromkeys(user_id for part in texts for user_id in part.mentions))
        if any(isinstance(part, Markdown) for part in texts):
            yield Markdown(whole, mentions)
        else:
            yield Text(whole, mentions)


def _pieces(part: Part, row: Abilities) -> list[Part]:
    """Cut a part to the platform's sizes; only the first piece mentions people."""
    if isinstance(part, Text):
        texts = [piece for piece in split_text(part.text, row.text_limit_bytes) if piece.strip()]
        return [Text(piece, () if number else part.mentions) for number, piece in enumerate(texts)]
    if isinstance(part, Markdown):
        marked = split_markdown(part.text, row.markdown_limit_bytes)
        return [Markdown(piece) for piece in marked if piece.strip()]
    if isinstance(part, News) and len(part.articles) > row.most_articles:
        most = row.most_articles
        return [News(part.articles[at : at + most]) for at in range(0, len(part.articles), most)]
    return [part]
