"""The vendors' inner XML, written by the sandbox's own hand: every message type and every event.

Nothing is shared with the codecs of `bot.platforms`, so that a mistake is not made twice. Fields
carry the vendor's names; whoever asks for a message or event may overwrite, add or leave them.

Source: WeCom, self-built app, incoming messages and events; Official Account, incoming messages and
events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.sandbox.channel import Kind, SandboxChannel

Value = str | int | float | Mapping[str, "Value"] | Sequence["Value"]
Fields = Mapping[str, Value]

# What XML 1.0 cannot carry at all; the vendors' clients cannot type it either.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_PLACE: Fields = {"Location_X": "31.2304", "Location_Y": "121.4737", "Scale": "16", "Label": "人民广场"}
_PICTURES: Fields = {
    "Count": 1,
    "PicList": {"item": {"PicMd5Sum": "1b5f7c23b5bf75682a53e7b6d163e185"}},
}
_SCAN: Fields = {"ScanType": "qrcode", "ScanResult": "https://sandbox.invalid/scanned"}

MESSAGES: Mapping[Kind, Mapping[str, Fields]] = {
    "wecom_app": {
        "text": {"Content": ""},
        "image": {"PicUrl": "https://sandbox.invalid/picture.jpg", "MediaId": "MEDIA-image"},
        "voice": {"MediaId": "MEDIA-voice", "Format": "amr"},
        "video": {"MediaId": "MEDIA-video", "ThumbMediaId": "MEDIA-thumb"},
        "location": {
            "Location_X": 31.2304, "Location_Y": 121.4737, "Scale": 16, "Label": "人民广场",
            "AppType": "wxwork",
        },
        "link": {
            "Title": "标题", "Description": "描述", "Url": "https://sandbox.invalid/",
            "PicUrl": "https://sandbox.invalid/picture.jpg",
        },
    },
    "wechat_oa": {
        "text": {"Content": ""},
        "image": {"PicUrl": "https://sandbox.invalid/picture.jpg", "MediaId": "MEDIA-image"},
        "voice": {"MediaId": "MEDIA-voice", "Format": "amr", "Recognition": ""},
        "video": {"MediaId": "MEDIA-video", "ThumbMediaId": "MEDIA-thumb"},
        "shortvideo": {"MediaId": "MEDIA-video", "ThumbMediaId": "MEDIA-thumb"},
        "location": {"Location_X": 31.2304, "Location_Y": 121.4737, "Scale": 16, "Label": "人民广场"},
        "link": {"Title": "标题", "Description": "描述", "Url": "https://sandbox.invalid/"},
    },
}  # fmt: skip
"""Every message type of a kind, with the fields it carries and a plausible value for each."""

_MENU: dict[str, Fields] = {
    "view_miniprogram": {"EventKey": "pages/index"},
    "scancode_push": {"EventKey": "scan", "ScanCodeInfo": _SCAN},
    "scancode_waitmsg": {"EventKey": "scan", "ScanCodeInfo": _SCAN},
    "pic_sysphoto": {"EventKey": "photo", "SendPicsInfo": _PICTURES},
    "pic_photo_or_album": {"EventKey": "photo", "SendPicsInfo": _PICTURES},
    "pic_weixin": {"EventKey": "photo", "SendPicsInfo": _PICTURES},
    "location_select": {"EventKey": "place", "SendLocationInfo": {**_PLACE, "Poiname": "大剧院"}},
}
_CARD: Fields = {
    "EventKey": "button", "TaskId": "task-1", "CardType": "button_interaction", "ResponseCode": "RESPONSE",
}  # fmt: skip
_POSITION: Fields = {"Latitude": 31.2304, "Longitude": 121.4737, "Precision": 65.0}

EVENTS: Mapping[Kind, Mapping[str, Fields]] = {
    "wecom_app": {
        "subscribe": {},
        "unsubscribe": {},
        "enter_agent": {"EventKey": ""},
        "LOCATION": {**_POSITION, "AppType": "wxwork"},
        "click": {"EventKey": "menu"},
        "view": {"EventKey": "https://sandbox.invalid/"},
        **_MENU,
        "template_card_event": {
            **_CARD,
            "CardType": "vote_interaction",
            "SelectedItems": {
                "SelectedItem": {"QuestionKey": "question-1", "OptionIds": {"OptionId": ["a", "b"]}}
            },
        },
        "template_card_menu_event": _CARD,
        "batch_job_result": {
            "BatchJob": {"JobId": "job-1", "JobType": "sync_user", "ErrCode": 0, "ErrMsg": "ok"}
        },
        "change_contact": {"ChangeType": "create_user"},
        "open_approval_change": {
            "ApprovalInfo": {
                "ThirdNo": "third-1", "OpenSpName": "请假", "OpenTemplateId": "template-1", "OpenSpStatus": 1,
            }
        },
        "sys_approval_change": {
            "ApprovalInfo": {
                "SpNo": "202601010001", "SpName": "请假", "SpStatus": 2, "TemplateId": "template-1",
            }
        },
    },
    "wechat_oa": {
        "subscribe": {},
        "unsubscribe": {},
        "SCAN": {"EventKey": "fair-07", "Ticket": "TICKET"},
        "LOCATION": _POSITION,
        "CLICK": {"EventKey": "menu"},
        "VIEW": {"EventKey": "https://sandbox.invalid/", "MenuId": "415500001"},
        **_MENU,
        "view_miniprogram": {"EventKey": "pages/index", "MenuId": "415500002"},
        "TEMPLATESENDJOBFINISH": {"MsgID": 200163836, "Status": "success"},
        "MASSSENDJOBFINISH": {
            "MsgID": 1000001625, "Status": "send success",
            "TotalCount": 100, "FilterCount": 80, "SentCount": 75, "ErrorCount": 5,
        },
        "subscribe_msg_popup_event": {
            "SubscribeMsgPopupEvent": {
                "List": [
                    {"TemplateId": "template-1", "SubscribeStatusString": "accept", "PopupScene": 2},
                    {"TemplateId": "template-2", "SubscribeStatusString": "reject", "PopupScene": 2},
                ]
            }
        },
        "subscribe_msg_change_event": {
            "SubscribeMsgChangeEvent": {
                "List": {"TemplateId": "template-1", "SubscribeStatusString": "reject"}
            }
        },
        "subscribe_msg_sent_event": {
            "SubscribeMsgSentEvent": {
                "List": {
                    "TemplateId": "template-1", "MsgID": "1864323726461255680",
                    "ErrorCode": 0, "ErrorStatus": "success",
                }
            }
        },
    },
}  # fmt: skip
"""Every event of a kind, with the fields it carries and a plausible value for each."""

CONTACT_CHANGES: Mapping[str, Fields] = {
    "create_user": {"UserID": "xinren", "Name": "新人", "Department": "1,2", "Status": 1},
    "update_user": {"UserID": "xinren", "NewUserID": "laoren", "Name": "老人"},
    "delete_user": {"UserID": "laoren"},
    "create_party": {"Id": 2, "Name": "门店", "ParentId": 1, "Order": 1},
    "update_party": {"Id": 2, "Name": "旗舰店", "ParentId": 1},
    "delete_party": {"Id": 2},
    "update_tag": {"TagId": 1, "AddUserItems": "xiaoming,xiaohong"},
}
"""Every ChangeType of WeCom's change_contact with its fields."""

SYSTEM_EVENTS = frozenset(
    {"batch_job_result", "change_contact", "open_approval_change", "sys_approval_change"}
)
"""Events that come from the vendor (``sys``), not from a person."""


def message_xml(
    channel: SandboxChannel, user_id: str, kind: str, *, at_s: int, msg_id: int, fields: Fields
) -> str:
    """Return the inner XML of one message.

    `kind` may be one the vendor does not have: then it carries `fields` alone. `at_s` is CreateTime,
    Unix seconds.
    """
    own = MESSAGES[channel.kind].get(kind, {})
    head = _head(channel, user_id, at_s, kind)
    return _document({**head, **own, **fields, "MsgId": msg_id, **_agent(channel)})


def event_xml(channel: SandboxChannel, user_id: str, event: str, *, at_s: int, fields: Fields) -> str:
    """Return the inner XML of one event; like `message_xml`, but without a MsgId, as the vendors do."""
    sender = "sys" if channel.kind == "wecom_app" and event in SYSTEM_EVENTS else user_id
    own = EVENTS[channel.kind].get(event, {})
    if event == "change_contact":
        change = str(fields.get("ChangeType", "create_user"))
        own = {"ChangeType": change, **CONTACT_CHANGES.get(change, {})}
    head = _head(channel, sender, at_s, "event")
    return _document({**head, "Event": event, **own, **fields, **_agent(channel)})


def envelope(channel: SandboxChannel, encrypt: str) -> str:
    """Return the outer XML of an encrypted callback."""
    return _document({"ToUserName": channel.account_id, **_agent(channel), "Encrypt": encrypt})


def with_encrypt(inner: str, encrypt: str) -> str:
    """Return clear XML with an Encrypt element at its end: the body of compatible mode."""
    return inner.removesuffix("</xml>") + _element("Encrypt", encrypt) + "</xml>"


def _head(channel: SandboxChannel, sender: str, at_s: int, kind: str) -> Fields:
    return {
        "ToUserName": channel.account_id, "FromUserName": sender, "CreateTime": at_s, "MsgType": kind,
    }  # fmt: skip


def _agent(channel: SandboxChannel) -> Fields:
    return {"AgentID": channel.agent_id} if channel.kind == "wecom_app" else {}


def _document(fields: Fields) -> str:
    return "<xml>" + "".join(_element(name, value) for name, value in fields.items()) + "</xml>"


def _element(name: str, value: Value) -> str:
    if isinstance(value, str):
        # A CDATA section cannot hold its own end: it is cut in two there.
        text = _NOT_XML.sub("", value).replace("]]>", "]]]]><![CDATA[>")
        return f"<{name}><![CDATA[{text}]]></{name}>"
    if isinstance(value, Mapping):
        return f"<{name}>" + "".join(_element(key, inner) for key, inner in value.items()) + f"</{name}>"
    if isinstance(value, Sequence):
        return "".join(_element(name, item) for item in value)
    return f"<{name}>{value}</{name}>"
