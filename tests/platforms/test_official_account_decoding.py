"""The Official Account: what only it sends becomes an event of ours."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from bot.model import (
    Content,
    ImageMessage,
    LocationReported,
    MassMessageSent,
    MenuClicked,
    MenuViewed,
    NoticeConsent,
    NoticesChanged,
    Scanned,
    Subscribed,
    TemplateMessageSent,
    Unknown,
    Unsubscribed,
    VideoMessage,
    VoiceMessage,
)

if TYPE_CHECKING:
    from bot.platforms.wechat.official_account import OfficialAccount

Post = Callable[[str], tuple[str, bytes]]
RECEIVED_AT_MS = 1790000003456
COMMON = (
    "<ToUserName><![CDATA[gh_example]]></ToUserName><FromUserName><![CDATA[oEXAMPLE]]></FromUserName>"
    "<CreateTime>1790000000</CreateTime>"
)


def report(event: str, fields: str = "") -> str:
    return f"<xml>{COMMON}<MsgType>event</MsgType><Event><![CDATA[{event}]]></Event>{fields}</xml>"


def test_messages_an_app_of_wecom_does_not_have_are_read(
    account: OfficialAccount, account_post: Post
) -> None:
    for msg_type, fields, content in [
        ("image", "<PicUrl>u</PicUrl><MediaId>m</MediaId>", ImageMessage("u", "m")),
        (
            "voice",
            "<MediaId>m</MediaId><Format>speex</Format><Recognition>你好</Recognition>",
            VoiceMessage("m", "speex", "你好"),
        ),
        (
            "shortvideo",
            "<MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>",
            VideoMessage("m", "t", short=True),
        ),
    ]:
        text = f"<xml>{COMMON}<MsgType>{msg_type}</MsgType>{fields}<MsgId>7</MsgId></xml>"
        event = account.open(*account_post(text), RECEIVED_AT_MS)
        assert (event.content, event.id) == (content, "oa:oEXAMPLE:7")


NOTICE = "<TemplateId>T1</TemplateId><SubscribeStatusString>accept</SubscribeStatusString>"
REPORTS: list[tuple[str, str, Content]] = [
    ("subscribe", "", Subscribed()),
    ("subscribe", "<EventKey></EventKey>", Subscribed()),
    (
        "subscribe",
        "<EventKey><![CDATA[qrscene_fair-07]]></EventKey><Ticket>tk</Ticket>",
        Subscribed("fair-07", "tk"),
    ),
    ("subscribe", "<EventKey>123</EventKey><Ticket>tk</Ticket>", Subscribed("123", "tk")),
    ("subscribe", "<EventKey>last_trade_no_42</EventKey>", Subscribed()),
    ("unsubscribe", "", Unsubscribed()),
    ("SCAN", "<EventKey>fair-07</EventKey><Ticket>tk</Ticket>", Scanned("fair-07", "tk")),
    ("scan", "<EventKey>qrscene_7</EventKey>", Scanned("7", "")),
    (
        "LOCATION",
        "<Latitude>23.1</Latitude><Longitude>113.3</Longitude><Precision>119.385040</Precision>",
        LocationReported(23.1, 113.3, 119.38504),
    ),
    ("CLICK", "<EventKey>SIGN</EventKey>", MenuClicked("SIGN")),
    (
        "VIEW",
        "<EventKey>http://v.example</EventKey><MenuId>m1</MenuId>",
        MenuViewed("http://v.example", "m1"),
    ),
    (
        "view_miniprogram",
        "<EventKey>pages/a</EventKey><MenuId>m2</MenuId>",
        MenuViewed("pages/a", "m2", mini_program=True),
    ),
    (
        "TEMPLATESENDJOBFINISH",
        "<MsgID>200163836</MsgID><Status><![CDATA[failed:user block]]></Status>",
        TemplateMessageSent("200163836", "failed:user block"),
    ),
    (
        "MASSSENDJOBFINISH",
        (
            "<MsgID>1000001625</MsgID><Status>send success</Status><TotalCount>100</TotalCount>"
            "<FilterCount>80</FilterCount><SentCount>75</SentCount><ErrorCount>5</ErrorCount>"
        ),
        MassMessageSent("1000001625", "send success", 100, 80, 75, 5),
    ),
    (
        "subscribe_msg_popup_event",
        f"<SubscribeMsgPopupEvent><List>{NOTICE}</List></SubscribeMsgPopupEvent>",
        NoticesChanged("subscribe_msg_popup_event", (NoticeConsent("T1", "accept"),)),
    ),
    (
        "subscribe_msg_popup_event",
        (
            f"<SubscribeMsgPopupEvent><List>{NOTICE}</List><List>{NOTICE.replace('accept', 'reject')}</List>"
            "</SubscribeMsgPopupEvent>"
        ),
        NoticesChanged(
            "subscribe_msg_popup_event", (NoticeConsent("T1", "accept"), NoticeConsent("T1", "reject"))
        ),
    ),
    (
        "subscribe_msg_change_event",
        (
            "<SubscribeMsgChangeEvent><List><TemplateId>T2</TemplateId>"
            "<SubscribeStatusString>reject</SubscribeStatusString></List></SubscribeMsgChangeEvent>"
        ),
        NoticesChanged("subscribe_msg_change_event", (NoticeConsent("T2", "reject"),)),
    ),
    (
        "subscribe_msg_sent_event",
        (
            "<SubscribeMsgSentEvent><List><TemplateId>T3</TemplateId><MsgID>17</MsgID><ErrorCode>0</ErrorCode>"
            "<ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent>"
        ),
        NoticesChanged("subscribe_msg_sent_event", (NoticeConsent("T3", "success", "17", 0),)),
    ),
    ("subscribe_msg_sent_event", "", NoticesChanged("subscribe_msg_sent_event", ())),
    ("card_pass_check", "<CardId>1</CardId>", Unknown("card_pass_check")),
    ("enter_agent", "", Unknown("enter_agent")),
]


@pytest.mark.parametrize(("name", "fields", "content"), REPORTS)
def test_every_event_type_is_decoded(
    name: str, fields: str, content: Content, account: OfficialAccount, account_post: Post
) -> None:
    text = report(name, fields)
    event = account.open(*account_post(text), RECEIVED_AT_MS)
    assert event.content == content
    assert event.id == f"oa:{sha256(text.encode()).hexdigest()}"
