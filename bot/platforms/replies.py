"""Passive replies: one part of what we say, as the XML both vendors take in the HTTP response.

Own templates: those of wechatpy put a text into CDATA as it is, so a member's ``]]>`` echoed by a
handler would end the section and let the rest speak as markup.

Source: WeCom, self-built app, passive reply types; WeChat, events, passive reply types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bot.model import CardUpdate, Image, News, Text, Video, Voice
from bot.platforms.wecom.card_json import card_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.model import Article, Event, Part, TemplateCard

TEXT_LIMIT_BYTES = 2048
NEWS_LIMIT = 8

BUTTON_UPDATE = "update_button"  # as a card's type: see `bot.model.CardUpdate`
_TAGS = {"keyname": "KeyName", "checkbox": "CheckBox"}
_UTF8_MOST_BYTES = 4  # of one character
# What XML 1.0 has no way to write; a lone surrogate has no UTF-8 either.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render_reply(event: Event, part: Part, at_ms: int) -> bytes:
    """Return `part` as an answer to the sender of `event`.

    Illegal characters of XML are dropped. CreateTime is the second of `at_ms`, so a repeat has the same
    bytes.

    Raises:
        ValueError: A text above 2048 bytes of UTF-8, not one to eight articles, or a card beyond its limits.
    """
    kind = part.kind
    if isinstance(part, CardUpdate):
        kind = BUTTON_UPDATE if part.card.card_type == BUTTON_UPDATE else "update_template_card"
    return (
        f"<xml><ToUserName>{_cdata(event.user_id)}</ToUserName>"
        f"<FromUserName>{_cdata(event.account_id)}</FromUserName>"
        f"<CreateTime>{at_ms // 1000}</CreateTime>"
        f"<MsgType><![CDATA[{kind}]]></MsgType>{_body(part)}</xml>"
    ).encode()


def _body(part: Part) -> str:
    """Return the elements that belong to the kind of `part`."""
    if isinstance(part, Text):
        return f"<Content>{_limited_text(part.text)}</Content>"
    if isinstance(part, Image):
        return f"<Image><MediaId>{_cdata(part.media_id)}</MediaId></Image>"
    if isinstance(part, Voice):
        return f"<Voice><MediaId>{_cdata(part.media_id)}</MediaId></Voice>"
    if isinstance(part, Video):
        return (
            f"<Video><MediaId>{_cdata(part.media_id)}</MediaId><Title>{_cdata(part.title)}</Title>"
            f"<Description>{_cdata(part.description)}</Description></Video>"
        )
    if isinstance(part, CardUpdate):
        return _card_update(part.card)
    assert isinstance(part, News), "routes.py lets nothing else through"
    return _news(part)


def _card_update(card: TemplateCard) -> str:
    """Return the card that takes the place of the one clicked, or the text its button has from now on."""
    if card.card_type == BUTTON_UPDATE:
        if card.submit is None or not card.submit.text:
            raise ValueError("submit: needs the button's new text")
        return f"<Button><ReplaceName>{_cdata(card.submit.text)}</ReplaceName></Button>"
    return f"<TemplateCard>{_elements(card_json(card))}</TemplateCard>"


def _elements(body: Mapping[str, Any]) -> str:
    """Return a JSON object as the same elements in XML: a list is one element for each of its items."""
    said = []
    for name, value in body.items():
        tag = _TAGS.get(name) or "".join([word.capitalize() for word in name.split("_")])
        for item in value if isinstance(value, list) else (value,):
            inner = _elements(item) if isinstance(item, dict) else _scalar(item)
            said.append(f"<{tag}>{inner}</{tag}>")
    return "".join(said)


def _scalar(value: str | int) -> str:
    return _cdata(value) if isinstance(value, str) else str(value)


def _news(part: News) -> str:
    """Return the elements of one to eight articles."""
    if not 1 <= len(part.articles) <= NEWS_LIMIT:
        raise ValueError(f"a news message has 1 to {NEWS_LIMIT} articles, not {len(part.articles)}")
    items = "".join([_article(article) for article in part.articles])
    return f"<ArticleCount>{len(part.articles)}</ArticleCount><Articles>{items}</Articles>"


def _article(article: Article) -> str:
    """Return one article as an item."""
    return (
        f"<item><Title>{_cdata(article.title)}</Title>"
        f"<Description>{_cdata(article.description)}</Description>"
        f"<PicUrl>{_cdata(article.picture_url)}</PicUrl><Url>{_cdata(article.url)}</Url></item>"
    )


def _limited_text(text: str) -> str:
    """Return a text as CDATA, if one passive reply holds it."""
    # Only a text that could be too long is measured.
    if len(text) * _UTF8_MOST_BYTES > TEXT_LIMIT_BYTES:
        size = len(_legal(text).encode())
        if size > TEXT_LIMIT_BYTES:
            raise ValueError(f"a text of {size} bytes; a passive reply holds {TEXT_LIMIT_BYTES}")
    return _cdata(text)


def _cdata(text: str) -> str:
    """Return `text` as CDATA it cannot break out of."""
    text = _legal(text)
    if "]]>" in text:
        text = text.replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{text}]]>"


def _legal(text: str) -> str:
    """Return `text` without characters that XML forbids; all of them are unprintable."""
    return text if text.isprintable() else _ILLEGAL.sub("", text)
