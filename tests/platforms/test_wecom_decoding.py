"""The self-built WeCom app: every message and event of the reference becomes an event of ours."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from bot.model import (
    ApprovalChanged,
    BatchJobDone,
    CardClicked,
    CodeScanned,
    ContactsChanged,
    Content,
    Entered,
    Event,
    ImageMessage,
    LinkMessage,
    LocationMessage,
    LocationReported,
    LocationSelected,
    MenuClicked,
    MenuViewed,
    PicturesSent,
    Subscribed,
    TextMessage,
    Unknown,
    Unsubscribed,
    VideoMessage,
    VoiceMessage,
)

if TYPE_CHECKING:
    from bot.platforms.wecom.app import WecomApp

Post = Callable[[str], tuple[str, bytes]]
RECEIVED_AT_MS = 1790000003456
COMMON = (
    "<ToUserName><![CDATA[ww0example]]></ToUserName><FromUserName><![CDATA[ana]]></FromUserName>"
    "<CreateTime>1790000000</CreateTime>"
)
TEXT = (
    f"<xml>{COMMON}<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[签到]]></Content>"
    "<MsgId>24500000000000001</MsgId><AgentID>1000007</AgentID></xml>"
)


def message(msg_type: str, fields: str) -> str:
    return (
        f"<xml>{COMMON}<MsgType><![CDATA[{msg_type}]]></MsgType>{fields}"
        "<MsgId>24500000000000002</MsgId><AgentID>1000007</AgentID></xml>"
    )


def report(event: str, fields: str = "") -> str:
    return (
        f"<xml>{COMMON}<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event>{fields}"
        "<AgentID>1000007</AgentID></xml>"
    )


# ---------------------------------------------------------------- messages


def test_a_text_message_becomes_an_event(wecom: WecomApp, wecom_post: Post) -> None:
    assert wecom.open(*wecom_post(TEXT), RECEIVED_AT_MS) == Event(
        id="app:ana:24500000000000001",
        channel="app",
        user_id="ana",
        account_id="ww0example",
        group_id="",
        sent_at_ms=1790000000000,
        content=TextMessage("签到"),
    )


def test_field_order_and_space_do_not_change_the_event(wecom: WecomApp, wecom_post: Post) -> None:
    """The general parser and the fast path tell the same."""
    turned = (
        "<?xml version='1.0'?>\n<xml>\n  <MsgId>24500000000000001</MsgId>\n  <New>1</New>"
        f"<Content>签&#21040;</Content><MsgType>TEXT</MsgType>{COMMON}\n</xml>"
    )
    assert wecom.open(*wecom_post(turned), 1) == wecom.open(*wecom_post(TEXT), 2)


MESSAGES: list[tuple[str, str, Content]] = [
    (
        "image",
        "<PicUrl><![CDATA[http://p.example/1?a=1&b=2]]></PicUrl><MediaId>m-1</MediaId>",
        ImageMessage("http://p.example/1?a=1&b=2", "m-1"),
    ),
    ("voice", "<MediaId>m-2</MediaId><Format><![CDATA[amr]]></Format>", VoiceMessage("m-2", "amr")),
    ("video", "<MediaId>m-3</MediaId><ThumbMediaId>t-3</ThumbMediaId>", VideoMessage("m-3", "t-3")),
    (
        "location",
        (
            "<Location_X>23.134</Location_X><Location_Y>113.358</Location_Y><Scale>20</Scale>"
            "<Label><![CDATA[广州]]></Label><AppType>wxwork</AppType>"
        ),
        LocationMessage(23.134, 113.358, 20, "广州"),
    ),
    (
        "link",
        "<Title>t</Title><Description>d</Description><Url>http://l.example</Url><PicUrl>p</PicUrl>",
        LinkMessage("t", "d", "http://l.example"),
    ),
    ("text", "", TextMessage("")),
    ("image", "", ImageMessage("", "")),
    ("voice", "<MediaId><a/></MediaId>", VoiceMessage("", "")),
    (
        "location",
        "<Location_X>north</Location_X><Location_Y>nan</Location_Y><Scale>1e999</Scale>",
        LocationMessage(0.0, 0.0, 0, ""),
    ),
    ("location", "<Location_X> -1.5 </Location_X><Scale>16.0</Scale>", LocationMessage(-1.5, 0.0, 16, "")),
    ("Sticker", "<Sticker>1</Sticker>", Unknown("Sticker")),
    ("", "", Unknown("")),
]


@pytest.mark.parametrize(("msg_type", "fields", "content"), MESSAGES)
def test_every_message_type_is_decoded(
    msg_type: str, fields: str, content: Content, wecom: WecomApp, wecom_post: Post
) -> None:
    """A missing or malformed field is empty or 0."""
    event = wecom.open(*wecom_post(message(msg_type, fields)), RECEIVED_AT_MS)
    assert event.content == content
    if event.is_message:
        assert event.id == "app:ana:24500000000000002"


@pytest.mark.parametrize(
    "msg_id", ["", "<MsgId></MsgId>", f"<MsgId>{'9' * 65}</MsgId>", "<MsgId><a/></MsgId>"]
)
def test_a_message_without_a_usable_id_is_known_by_its_body(
    msg_id: str, wecom: WecomApp, wecom_post: Post
) -> None:
    text = TEXT.replace("<MsgId>24500000000000001</MsgId>", msg_id)
    event = wecom.open(*wecom_post(text), RECEIVED_AT_MS)
    assert event.id == f"app:{sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize("created", ["", "0", "-5", "soon", "99999999999", "1e400", "９" * 20])
def test_without_a_time_the_receipt_counts(created: str, wecom: WecomApp, wecom_post: Post) -> None:
    text = TEXT.replace("1790000000", created)
    assert wecom.open(*wecom_post(text), RECEIVED_AT_MS).sent_at_ms == RECEIVED_AT_MS


def test_a_message_without_a_sender_has_an_empty_one(wecom: WecomApp, wecom_post: Post) -> None:
    text = TEXT.replace("<FromUserName><![CDATA[ana]]></FromUserName>", "")
    event = wecom.open(*wecom_post(text), RECEIVED_AT_MS)
    assert (event.user_id, event.id) == ("", "app::24500000000000001")


# ---------------------------------------------------------------- reports

REPORTS: list[tuple[str, str, Content]] = [
    ("subscribe", "<EventKey></EventKey>", Subscribed()),
    ("unsubscribe", "", Unsubscribed()),
    ("enter_agent", "<EventKey></EventKey>", Entered()),
    (
        "LOCATION",
        "<Latitude>23.104</Latitude><Longitude>113.320</Longitude><Precision>65.000</Precision>",
        LocationReported(23.104, 113.32, 65.0),
    ),
    ("click", "<EventKey><![CDATA[SIGN]]></EventKey>", MenuClicked("SIGN")),
    ("CLICK", "<EventKey><![CDATA[SIGN]]></EventKey>", MenuClicked("SIGN")),
    ("view", "<EventKey><![CDATA[http://v.example]]></EventKey>", MenuViewed("http://v.example")),
    ("view_miniprogram", "<EventKey>pages/a</EventKey>", MenuViewed("pages/a", mini_program=True)),
    (
        "scancode_push",
        "<EventKey>6</EventKey><ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>1</ScanResult></ScanCodeInfo>",
        CodeScanned("6", "qrcode", "1", waits=False),
    ),
    (
        "scancode_waitmsg",
        "<EventKey>6</EventKey><ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>2</ScanResult></ScanCodeInfo>",
        CodeScanned("6", "qrcode", "2", waits=True),
    ),
    (
        "pic_sysphoto",
        (
            "<EventKey>6</EventKey><SendPicsInfo><Count>1</Count><PicList><item><PicMd5Sum>1b5f</PicMd5Sum></item>"
            "</PicList></SendPicsInfo>"
        ),
        PicturesSent("6", "pic_sysphoto", ("1b5f",)),
    ),
    (
        "pic_photo_or_album",
        (
            "<EventKey>6</EventKey><SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum>a</PicMd5Sum></item>"
            "<item><PicMd5Sum>b</PicMd5Sum></item></PicList></SendPicsInfo>"
        ),
        PicturesSent("6", "pic_photo_or_album", ("a", "b")),
    ),
    (
        "pic_weixin",
        "<SendPicsInfo><Count>0</Count><PicList/></SendPicsInfo>",
        PicturesSent("", "pic_weixin", ()),
    ),
    (
        "location_select",
        (
            "<EventKey>6</EventKey><SendLocationInfo><Location_X>23</Location_X><Location_Y>113</Location_Y>"
            "<Scale>15</Scale><Label>广州市</Label><Poiname>塔</Poiname></SendLocationInfo>"
        ),
        LocationSelected("6", 23.0, 113.0, 15, "广州市", "塔"),
    ),
    (
        "template_card_event",
        (
            "<EventKey>key111</EventKey><TaskId>task_1</TaskId><CardType>vote</CardType><ResponseCode>r</ResponseCode>"
            "<SelectedItems><SelectedItem><QuestionKey>q1</QuestionKey><OptionIds><OptionId>a</OptionId>"
            "<OptionId>b</OptionId></OptionIds></SelectedItem><SelectedItem><QuestionKey>q2</QuestionKey>"
            "<OptionIds><OptionId>c</OptionId></OptionIds></SelectedItem></SelectedItems>"
        ),
        CardClicked("key111", "task_1", "vote", "r", (("q1", ("a", "b")), ("q2", ("c",)))),
    ),
    (
        "template_card_menu_event",
        "<EventKey>k</EventKey><TaskId>t</TaskId><CardType>text_notice</CardType><ResponseCode>r</ResponseCode>",
        CardClicked("k", "t", "text_notice", "r", menu=True),
    ),
    (
        "batch_job_result",
        "<BatchJob><JobId>j</JobId><JobType>sync_user</JobType><ErrCode>-1</ErrCode><ErrMsg>busy</ErrMsg></BatchJob>",
        BatchJobDone("j", "sync_user", -1, "busy"),
    ),
    (
        "change_contact",
        (
            "<ChangeType>update_user</ChangeType><UserID>ana</UserID><Department>1,2</Department>"
            "<ExtAttr><Item><Name>a</Name></Item><Item><Name>b</Name></Item></ExtAttr>"
        ),
        ContactsChanged(
            "update_user",
            (
                ("UserID", "ana"),
                ("Department", "1,2"),
                ("ExtAttr/Item/Name", "a"),
                ("ExtAttr/Item/Name", "b"),
            ),
        ),
    ),
    (
        "open_approval_change",
        "<ApprovalInfo><ThirdNo>20</ThirdNo><OpenSpStatus>1</OpenSpStatus></ApprovalInfo>",
        ApprovalChanged(
            "open_approval_change", (("ApprovalInfo/ThirdNo", "20"), ("ApprovalInfo/OpenSpStatus", "1"))
        ),
    ),
    ("sys_approval_change", "", ApprovalChanged("sys_approval_change", ())),
    ("scancode_push", "", CodeScanned("", "", "", waits=False)),
    ("location_select", "<SendLocationInfo>x</SendLocationInfo>", LocationSelected("", 0.0, 0.0, 0, "", "")),
    ("template_card_event", "<SelectedItems/>", CardClicked("", "", "", "")),
    ("batch_job_result", "<BatchJob><ErrCode>none</ErrCode></BatchJob>", BatchJobDone("", "", 0, "")),
    ("Brand_New", "<What>1</What>", Unknown("Brand_New")),
    ("x" * 500, "", Unknown("x" * 64)),
    ("", "", Unknown("event")),
]


@pytest.mark.parametrize(("name", "fields", "content"), REPORTS)
def test_every_event_type_is_decoded(
    name: str, fields: str, content: Content, wecom: WecomApp, wecom_post: Post
) -> None:
    text = report(name, fields)
    assert wecom.open(*wecom_post(text), RECEIVED_AT_MS) == Event(
        id=f"app:{sha256(text.encode()).hexdigest()}",
        channel="app",
        user_id="ana",
        account_id="ww0example",
        group_id="",
        sent_at_ms=1790000000000,
        content=content,
    )


def test_two_events_of_one_person_in_one_second_are_two(wecom: WecomApp, wecom_post: Post) -> None:
    first = wecom.open(*wecom_post(report("click", "<EventKey>a</EventKey>")), RECEIVED_AT_MS)
    second = wecom.open(*wecom_post(report("click", "<EventKey>b</EventKey>")), RECEIVED_AT_MS)
    assert first.id != second.id


def test_a_repeated_event_is_one_however_it_was_encrypted(wecom: WecomApp, wecom_post: Post) -> None:
    once, again = wecom_post(report("enter_agent")), wecom_post(report("enter_agent"))
    assert once != again
    assert wecom.open(*once, 1).id == wecom.open(*again, 2).id
