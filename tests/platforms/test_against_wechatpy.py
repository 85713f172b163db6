"""Our decoding beside wechatpy's, for every type that both know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy import parse_message as parse_account_message
from wechatpy.enterprise import parse_message as parse_wecom_message

from bot.platforms.codec import content_of, event_of, text_event
from bot.platforms.wechat.codec import REPORTS as ACCOUNT_REPORTS
from bot.platforms.wecom.codec import REPORTS as WECOM_REPORTS
from bot.platforms.xml import parse, text_message

COMMON = (
    "<ToUserName><![CDATA[gh_example]]></ToUserName><FromUserName><![CDATA[oEXAMPLE]]></FromUserName>"
    "<CreateTime>1790000000</CreateTime><MsgId>24500000000000001</MsgId>"
)
SCAN = "<ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult><![CDATA[1 & 2]]></ScanResult></ScanCodeInfo>"
PICTURES = (
    "<SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum>a</PicMd5Sum></item>"
    "<item><PicMd5Sum>b</PicMd5Sum></item></PicList></SendPicsInfo>"
)
PLACE = (
    "<SendLocationInfo><Location_X>23.5</Location_X><Location_Y>113</Location_Y><Scale>15</Scale>"
    "<Label>广州</Label><Poiname>塔</Poiname></SendLocationInfo>"
)
Pair = Callable[[Any, Any], bool]


def _places(mine: Any, theirs: Any) -> bool:
    return (mine.latitude, mine.longitude, mine.scale, mine.label) == (
        float(theirs.location_x),
        float(theirs.location_y),
        int(theirs.scale),
        theirs.label,
    )


# (MsgType, Event or "", fields, comparison of our content with their object)
MESSAGES: list[tuple[str, str, str, Pair]] = [
    ("text", "", "<Content><![CDATA[a<b>&c]]></Content>", lambda m, t: m.text == t.content),
    (
        "image",
        "",
        "<PicUrl>u</PicUrl><MediaId>m</MediaId>",
        lambda m, t: (m.url, m.media_id) == (t.image, t.media_id),
    ),
    (
        "voice",
        "",
        "<MediaId>m</MediaId><Format>amr</Format><Recognition>r</Recognition>",
        lambda m, t: (m.media_id, m.format, m.recognition) == (t.media_id, t.format, t.recognition),
    ),
    (
        "video",
        "",
        "<MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>",
        lambda m, t: (m.media_id, m.thumb_media_id, m.short) == (t.media_id, t.thumb_media_id, False),
    ),
    (
        "shortvideo",
        "",
        "<MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>",
        lambda m, t: (m.media_id, m.short) == (t.media_id, True),
    ),
    (
        "location",
        "",
        "<Location_X>23.5</Location_X><Location_Y>113</Location_Y><Scale>20</Scale><Label>广州</Label>",
        _places,
    ),
    (
        "link",
        "",
        "<Title>t</Title><Description>d</Description><Url>u</Url>",
        lambda m, t: (m.title, m.description, m.url) == (t.title, t.description, t.url),
    ),
    ("event", "unsubscribe", "", lambda m, t: (m.name, t.event) == ("unsubscribe", "unsubscribe")),
    (
        "event",
        "LOCATION",
        "<Latitude>23.137466</Latitude><Longitude>113.352425</Longitude><Precision>119.385040</Precision>",
        lambda m, t: (m.latitude, m.longitude, m.precision) == (t.latitude, t.longitude, t.precision),
    ),
    ("event", "CLICK", "<EventKey>K</EventKey>", lambda m, t: m.key == t.key),
    ("event", "VIEW", "<EventKey>http://v.example</EventKey>", lambda m, t: m.key == t.url),
    (
        "event",
        "scancode_push",
        f"<EventKey>6</EventKey>{SCAN}",
        lambda m, t: (
            (m.key, m.scan_type, m.scan_result, m.waits) == (t.key, t.scan_type, t.scan_result, False)
        ),
    ),
    (
        "event",
        "scancode_waitmsg",
        f"<EventKey>6</EventKey>{SCAN}",
        lambda m, t: (m.scan_result, m.waits) == (t.scan_result, True),
    ),
    *[
        (
            "event",
            name,
            f"<EventKey>6</EventKey>{PICTURES}",
            lambda m, t: (
                (m.key, m.source, list(m.md5_sums)) == (t.key, t.event, [p["PicMd5Sum"] for p in t.pictures])
            ),
        )
        for name in ("pic_sysphoto", "pic_photo_or_album", "pic_weixin")
    ],
    (
        "event",
        "location_select",
        f"<EventKey>6</EventKey>{PLACE}",
        lambda m, t: _places(m, t) and m.poi_name == t.poiname,
    ),
]
ACCOUNT_ONLY: list[tuple[str, str, str, Pair]] = [
    ("event", "subscribe", "", lambda m, t: (m.scene, t.key) == ("", "")),
    (
        "event",
        "subscribe",
        "<EventKey>qrscene_fair</EventKey><Ticket>k</Ticket>",
        lambda m, t: (m.scene, m.ticket) == (t.scene_id, t.ticket),
    ),
    (
        "event",
        "SCAN",
        "<EventKey>fair</EventKey><Ticket>k</Ticket>",
        lambda m, t: (m.scene, m.ticket) == (t.scene_id, t.ticket),
    ),
    (
        "event",
        "view_miniprogram",
        "<EventKey>pages/a</EventKey><MenuId>m</MenuId>",
        lambda m, t: (m.key, m.menu_id, m.mini_program) == (t.page_path, t.menu_id, True),
    ),
    (
        "event",
        "TEMPLATESENDJOBFINISH",
        "<MsgID>7</MsgID><Status>success</Status>",
        lambda m, t: (int(m.message_id), m.status) == (t.id, t.status),
    ),
    (
        "event",
        "MASSSENDJOBFINISH",
        (
            "<MsgID>7</MsgID><Status>s</Status><TotalCount>100</TotalCount><FilterCount>80</FilterCount>"
            "<SentCount>75</SentCount><ErrorCount>5</ErrorCount>"
        ),
        lambda m, t: (
            (m.total, m.filtered, m.sent, m.failed)
            == (t.total_count, t.filter_count, t.sent_count, t.error_count)
        ),
    ),
]
WECOM_ONLY: list[tuple[str, str, str, Pair]] = [
    ("event", "subscribe", "", lambda m, t: m.name == t.event == "subscribe"),
    ("event", "enter_agent", "<EventKey/>", lambda m, t: (m.name, t.event) == ("enter", "enter_agent")),
    (
        "event",
        "batch_job_result",
        "<BatchJob><JobId>j</JobId><JobType>sync_user</JobType><ErrCode>3</ErrCode><ErrMsg>e</ErrMsg></BatchJob>",
        lambda m, t: (
            (m.job_id, m.job_type, m.errcode, m.errmsg) == (t.job_id, t.job_type, int(t.err_code), t.err_msg)
        ),
    ),
]


def _body(msg_type: str, event: str, fields: str) -> str:
    name = f"<Event><![CDATA[{event}]]></Event>" if event else ""
    return f"<xml>{COMMON}<MsgType><![CDATA[{msg_type}]]></MsgType>{name}{fields}</xml>"


@pytest.mark.parametrize(("msg_type", "event", "fields", "same"), MESSAGES + ACCOUNT_ONLY)
def test_official_account_bodies_say_the_same_to_both(
    msg_type: str, event: str, fields: str, same: Pair
) -> None:
    body = _body(msg_type, event, fields)
    elements = parse(body.encode())
    content = content_of(elements, ACCOUNT_REPORTS)
    theirs = parse_account_message(body)
    assert same(content, theirs)
    ours = event_of("oa", elements, content, body.encode(), 0)
    assert (ours.user_id, ours.account_id, ours.sent_at_ms) == (
        theirs.source,
        theirs.target,
        theirs.time * 1000,
    )


@pytest.mark.parametrize(("msg_type", "event", "fields", "same"), MESSAGES + WECOM_ONLY)
def test_wecom_bodies_say_the_same_to_both(msg_type: str, event: str, fields: str, same: Pair) -> None:
    body = _body(msg_type, event, fields)
    assert same(content_of(parse(body.encode()), WECOM_REPORTS), parse_wecom_message(body))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1))
def test_texts_say_the_same_to_both_on_the_fast_path(said: str) -> None:
    """wechatpy trims a text; we leave it as it was sent."""
    body = (
        "<xml><ToUserName><![CDATA[gh_example]]></ToUserName><FromUserName><![CDATA[oEXAMPLE]]></FromUserName>"
        f"<CreateTime>1790000000</CreateTime><MsgType>text</MsgType><Content><![CDATA[{said}]]></Content>"
        "<MsgId>24500000000000001</MsgId></xml>"
    )
    usual = text_message(body.encode())
    if "]]>" in said:
        return
    assert usual is not None
    ours, theirs = text_event("oa", usual), parse_account_message(body)
    assert usual.content == said
    assert said.strip() == (theirs.content or "").strip()
    assert ours.id == f"oa:{theirs.source}:{theirs.id}"
    assert ours.sent_at_ms == theirs.time * 1000
