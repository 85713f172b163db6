"""What a channel gets that does not know a kind of part; `docs/messages.md` tells the same to people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bot.delivery.markdown import plain_text
from bot.delivery.routes import WECHAT_OA, Abilities
from bot.model import (
    Article,
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

INSTEAD: Mapping[str, tuple[str, ...]] = {
    "text": ("markdown",),
    "markdown": ("text",),
    "image": ("text", "markdown"),
    "voice": ("text", "markdown"),
    "video": ("file", "text", "markdown"),
    "file": ("text", "markdown"),
    "news": ("markdown", "text"),
    "mini_program": ("news", "markdown", "text"),
    "template_card": ("markdown", "text"),
    "card_update": ("template_card", "markdown", "text"),
}
"""For each kind the kinds that may stand for it, the best first."""

ALL_MENTION = "@all"

_FULL_WIDTH = str.maketrans({"[": "［", "]": "］", "*": "＊", "`": "｀", "<": "＜", ">": "＞", "\n": " "})
_IN_ADDRESS = str.maketrans({"(": "%28", ")": "%29", " ": "%20"})


def degraded(part: Part, row: Abilities, kinds: frozenset[str]) -> Part:
    """Return `part`, or what stands for it where the channel takes only `kinds`; itself where nothing may."""
    if _is_taken(part, row, kinds):
        return part
    for kind in INSTEAD[part.kind]:
        instead = _FORMS[kind](part)
        if instead is not None and _is_taken(instead, row, kinds):
            return instead
    return part


def _is_taken(part: Part, row: Abilities, kinds: frozenset[str]) -> bool:
    if part.kind not in kinds:
        return False
    if isinstance(part, TemplateCard):
        return part.card_type in row.card_types
    if isinstance(part, MiniProgram) and row.name == WECHAT_OA.name:
        return bool(part.thumb_media_id)  # which the account insists on
    return True


# ---------------------------------------------------------------- one part as another kind


def _as_text(part: Part) -> Text | None:
    if isinstance(part, Markdown):
        return Text(plain_text(part.text), part.mentions)
    if isinstance(part, Text):
        return part
    return Text("\n".join(_lines(part, _link_in_text, str, str)))


def _as_markdown(part: Part) -> Markdown | None:
    if isinstance(part, Text | Markdown):
        return Markdown(part.text, part.mentions)
    return Markdown("\n".join(_lines(part, _link_in_markdown, _bold, _literal)))


def _as_news(part: Part) -> News | None:
    if isinstance(part, MiniProgram) and part.url:
        return News((_article(part),))
    return None


def _as_file(part: Part) -> File | None:
    """Return a video as the file it is; only its bytes can be uploaded as another kind."""
    return File(blob=part.blob) if isinstance(part, Video) and part.blob else None


def _as_card(part: Part) -> TemplateCard | None:
    return part.card if isinstance(part, CardUpdate) else None


_FORMS: Mapping[str, Callable[[Part], Part | None]] = {
    "text": _as_text,
    "markdown": _as_markdown,
    "news": _as_news,
    "file": _as_file,
    "template_card": _as_card,
}

# ---------------------------------------------------------------- in words

_Link = Callable[[str, str], str]
_Mark = Callable[[str], str]


def _bold(words: str) -> str:
    return f"**{_literal(words)}**" if words.strip() else ""


def _literal(words: str) -> str:
    """Return words in which nothing is a mark."""
    return words.translate(_FULL_WIDTH).strip()


def _link_in_markdown(words: str, url: str) -> str:
    return f"[{_literal(words) or url}]({url.translate(_IN_ADDRESS)})" if url else _literal(words)


def _link_in_text(words: str, url: str) -> str:
    return f"{words}（{url}）" if words and url else words or url


def _lines(part: Part, link: _Link, bold: _Mark, literal: _Mark) -> Iterator[str]:
    """Yield the lines that tell a part in words."""
    match part:
        case Image():
            yield "［图片］"
        case Voice():
            yield "［语音］"
        case Video():
            yield from filter(None, ("［视频］", bold(part.title), literal(part.description)))
        case File():
            yield f"［文件 {literal(part.file_name)}］" if part.file_name else "［文件］"
        case News():
            for number, article in enumerate(part.articles):
                yield from ("",) if number else ()
                yield from _told(article, link, bold, literal)
        case MiniProgram():
            yield from _told(_article(part), link, bold, literal)
            yield from (f"{literal(name)}：{literal(value)}" for name, value in part.lines)
        case TemplateCard():
            yield from _card(part, link, bold, literal)
        case CardUpdate():
            yield from _card(part.card, link, bold, literal)


def _article(part: MiniProgram) -> Article:
    return Article(part.title, part.description, part.url)


def _told(article: Article, link: _Link, bold: _Mark, literal: _Mark) -> Iterator[str]:
    if link is _link_in_text:
        yield from filter(None, (article.title, article.description, article.url))
        return
    yield f"**{link(article.title, article.url)}**" if article.url else bold(article.title)
    if article.description:
        yield literal(article.description)


def _card(card: TemplateCard, link: _Link, bold: _Mark, literal: _Mark) -> Iterator[str]:
    yield from filter(None, (literal(card.source), bold(card.title), literal(card.description)))
    yield from (f"{literal(name)}：{literal(value)}" for name, value in card.lines)
    for question in card.questions:
        yield from filter(None, (literal(question.title),))
        yield from (f"· {literal(text)}" for _, text in question.options)
    yield from (link(text, url) for text, url in card.links)
    if card.url:
        yield link("", card.url)
    buttons = [*card.buttons, *((card.submit,) if card.submit else ())]
    if buttons:
        yield " ".join(f"〔{literal(button.text)}〕" for button in buttons)
