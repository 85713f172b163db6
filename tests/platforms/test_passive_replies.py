"""Passive replies: every kind, and that nothing breaks out of the XML."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.replies import deserialize_reply

from bot.model import Article, Event, Image, News, Part, Text, TextMessage, Video, Voice
from bot.platforms.replies import render_reply

EVENT = Event("app:ana:1", "app", "ana", "ww0example", "", 1790000000000, TextMessage("hi"))
AT_MS = 1790000004999


def rendered(part: Part, event: Event = EVENT) -> ET.Element:
    return ET.fromstring(render_reply(event, part, AT_MS))  # noqa: S314  made by the code under test


def tree(element: ET.Element) -> object:
    return [(child.tag, tree(child)) for child in element] if len(element) else element.text or ""


HEAD = [("ToUserName", "ana"), ("FromUserName", "ww0example"), ("CreateTime", "1790000004")]
CASES: list[tuple[Part, list[tuple[str, object]]]] = [
    (Text("签到成功"), [("MsgType", "text"), ("Content", "签到成功")]),
    (Image("m1"), [("MsgType", "image"), ("Image", [("MediaId", "m1")])]),
    (Voice("m2"), [("MsgType", "voice"), ("Voice", [("MediaId", "m2")])]),
    (
        Video("m3", "标题", "d"),
        [("MsgType", "video"), ("Video", [("MediaId", "m3"), ("Title", "标题"), ("Description", "d")])],
    ),
    (
        News((Article("t", "d", "http://a.example?a=1&b=2", "http://p.example"), Article("t2"))),
        [
            ("MsgType", "news"),
            ("ArticleCount", "2"),
            (
                "Articles",
                [
                    (
                        "item",
                        [
                            ("Title", "t"),
                            ("Description", "d"),
                            ("PicUrl", "http://p.example"),
                            ("Url", "http://a.example?a=1&b=2"),
                        ],
                    ),
                    ("item", [("Title", "t2"), ("Description", ""), ("PicUrl", ""), ("Url", "")]),
                ],
            ),
        ],
    ),
]


@pytest.mark.parametrize(("part", "expected"), CASES)
def test_every_kind_has_the_elements_of_the_reference(part: Part, expected: list[tuple[str, object]]) -> None:
    assert tree(rendered(part)) == [*HEAD, *expected]


@pytest.mark.parametrize("part", [case[0] for case in CASES])
def test_wechatpy_reads_every_kind(part: Part) -> None:
    reply = deserialize_reply(render_reply(EVENT, part, AT_MS).decode())
    assert (reply.type, reply.target, reply.source, reply.time) == (
        part.kind,
        "ana",
        "ww0example",
        1790000004,
    )


def _legal(text: str) -> str:
    """Return what an XML parser gives back of `text`: illegal characters dropped, line ends unified."""
    kept = "".join(
        char
        for char in text
        if char in "\t\n\r"
        or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
    )
    return kept.replace("\r\n", "\n").replace("\r", "\n")


_ANY_TEXT = st.lists(
    st.text(st.characters(), max_size=10)
    | st.sampled_from(["]]>", "]", ">", "<![CDATA[", "</Content>", "&", "\0"]),
    max_size=10,
).map("".join)


@given(_ANY_TEXT, _ANY_TEXT)
def test_no_text_breaks_out_of_its_element(said: str, name: str) -> None:
    event = Event("app:x:1", "app", name, "ww0example", "", 0, TextMessage(""))
    shown = rendered(Text(said), event)
    assert [child.tag for child in shown] == [
        "ToUserName",
        "FromUserName",
        "CreateTime",
        "MsgType",
        "Content",
    ]
    assert shown.findtext("Content") == _legal(said)
    assert shown.findtext("ToUserName") == _legal(name)


@given(_ANY_TEXT)
def test_no_field_of_the_other_kinds_breaks_out_either(said: str) -> None:
    video = rendered(Video(said, said, said))
    assert [child.text or "" for child in video.iterfind("Video/*")] == [_legal(said)] * 3
    news = rendered(News((Article(said, said, said, said),)))
    assert [child.text or "" for child in news.iterfind("Articles/item/*")] == [_legal(said)] * 4
    assert rendered(Image(said)).findtext("Image/MediaId") == _legal(said)
    assert rendered(Voice(said)).findtext("Voice/MediaId") == _legal(said)


@pytest.mark.parametrize("text", ["x" * 2048, "签" * 682 + "xx", "😀" * 512, "]]>" * 682, "x" * 2048 + "\0"])
def test_a_text_of_2048_bytes_fits(text: str) -> None:
    assert rendered(Text(text)).findtext("Content") == text.replace("\0", "")


@pytest.mark.parametrize("text", ["x" * 2049, "签" * 683, "😀" * 513])
def test_a_longer_text_is_the_caller_s_fault(text: str) -> None:
    with pytest.raises(ValueError, match="2048"):
        render_reply(EVENT, Text(text), AT_MS)


@pytest.mark.parametrize("count", [0, 9])
def test_news_have_one_to_eight_articles(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        render_reply(EVENT, News((Article("t"),) * count), AT_MS)


def test_eight_articles_fit() -> None:
    assert rendered(News((Article("t"),) * 8)).findtext("ArticleCount") == "8"
