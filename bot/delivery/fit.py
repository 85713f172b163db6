"""Makes the parts of a reply fit a channel: texts by bytes, news by number of articles."""

from __future__ import annotations

from collections.abc import Iterable

from bot.delivery.routes import Abilities
from bot.delivery.split import split_text
from bot.model import News, Part, Text


def fit_parts(parts: Iterable[Part], row: Abilities) -> tuple[Part, ...]:
    """Return `parts` cut to what a channel takes: texts by bytes, news by number of articles.

    Pieces of text that hold nothing but white space are left out, since platforms refuse them.
    """
    fitted: list[Part] = []
    for part in parts:
        if isinstance(part, Text):
            fitted += [
                Text(piece, part.mentions)
                for piece in split_text(part.text, row.text_limit_bytes)
                if piece.strip()
            ]
        elif isinstance(part, News):
            articles = part.articles
            fitted += [
                News(articles[first : first + row.most_articles])
                for first in range(0, len(articles), row.most_articles)
            ]
        else:
            fitted.append(part)
    return tuple(fitted)
