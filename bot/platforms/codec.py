"""From elements to events: what WeCom and WeChat spell alike.

A vendor adds its own reports to `MENU_REPORTS` and gives the whole table to `content_of`.

Source: WeCom, self-built app, incoming messages and events; WeChat, incoming messages and events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from bot.model import (
    MESSAGE_TYPES,
    CodeScanned,
    Event,
    ImageMessage,
    LinkMessage,
    LocationMessage,
    LocationReported,
    LocationSelected,
    MenuClicked,
    MenuViewed,
    PicturesSent,
    TextMessage,
    Unknown,
    Unsubscribed,
    VideoMessage,
    VoiceMessage,
)
from bot.platforms.elements import Elements, child, children, decimal, integer, text, word

if TYPE_CHECKING:
    from bot.model import Content
    from bot.platforms.xml import TextBody

Decoder: TypeAlias = Callable[[Elements], "Content"]
Reports: TypeAlias = Mapping[str, Decoder]

_LATEST_SECOND = 9_999_999_999  # the year 2286; more is no Unix time in seconds
_MSG_ID_MOST_CHARACTERS = 64
_TYPE_NAME_MOST_CHARACTERS = 64


def text_event(channel: str, body: TextBody) -> Event:
    """Return the event of the usual text message."""
    to_user, from_user, create_time, content, msg_id, _agent_id = body
    return Event(
        f"{channel}:{from_user}:{msg_id}",
        channel,
        from_user,
        to_user,
        "",
        int(create_time) * 1000,
        TextMessage(content),
    )


def event_of(channel: str, elements: Elements, content: Content, body: bytes, received_at_ms: int) -> Event:
    """Return the event of `content`, which `elements` of the decrypted `body` decoded to.

    A message is known by its sender and MsgId, whatever else its body says; the rest, and a message
    without a MsgId, by the hash of the body.
    """
    user_id = word(elements, "FromUserName")
    msg_id = word(elements, "MsgId") if isinstance(content, MESSAGE_TYPES) else ""
    if 0 < len(msg_id) <= _MSG_ID_MOST_CHARACTERS:
        event_id = f"{channel}:{user_id}:{msg_id}"
    else:
        event_id = f"{channel}:{sha256(body).hexdigest()}"
    created_s = integer(elements, "CreateTime")
    return Event(
        id=event_id,
        channel=channel,
        user_id=user_id,
        account_id=word(elements, "ToUserName"),
        group_id="",
        sent_at_ms=created_s * 1000 if 0 < created_s <= _LATEST_SECOND else received_at_ms,
        content=content,
    )


def content_of(elements: Elements, reports: Reports) -> Content:
    """Return what `elements` say; `reports` holds the decoders of events by lower-case name.

    Names of types are compared without regard to case, because the platforms' own vary.
    """
    msg_type = word(elements, "MsgType")
    if msg_type.lower() == "event":
        name = word(elements, "Event")
        decoder = reports.get(name.lower())
    else:
        name = msg_type
        decoder = _MESSAGES.get(name.lower())
    if decoder is None:
        return Unknown((name or msg_type)[:_TYPE_NAME_MOST_CHARACTERS])
    return decoder(elements)


# ---------------------------------------------------------------- messages


def _image(elements: Elements) -> Content:
    return ImageMessage(url=word(elements, "PicUrl"), media_id=word(elements, "MediaId"))


def _voice(elements: Elements) -> Content:
    return VoiceMessage(
        media_id=word(elements, "MediaId"),
        format=word(elements, "Format"),
        recognition=text(elements, "Recognition"),
    )


def _video(elements: Elements) -> Content:
    return VideoMessage(
        media_id=word(elements, "MediaId"),
        thumb_media_id=word(elements, "ThumbMediaId"),
        short=word(elements, "MsgType").lower() == "shortvideo",
    )


def _location(elements: Elements) -> Content:
    return LocationMessage(
        latitude=decimal(elements, "Location_X"),
        longitude=decimal(elements, "Location_Y"),
        scale=integer(elements, "Scale"),
        label=text(elements, "Label"),
    )


def _link(elements: Elements) -> Content:
    return LinkMessage(
        title=text(elements, "Title"),
        description=text(elements, "Description"),
        url=word(elements, "Url"),
    )


_MESSAGES: Reports = {
    "text": lambda elements: TextMessage(text(elements, "Content")),
    "image": _image,
    "voice": _voice,
    "video": _video,
    "shortvideo": _video,
    "location": _location,
    "link": _link,
}

# ---------------------------------------------------------------- reports


def _location_reported(elements: Elements) -> Content:
    return LocationReported(
        latitude=decimal(elements, "Latitude"),
        longitude=decimal(elements, "Longitude"),
        precision=decimal(elements, "Precision"),
    )


def _menu_viewed(elements: Elements) -> Content:
    return MenuViewed(
        key=word(elements, "EventKey"),
        menu_id=word(elements, "MenuId"),
        mini_program=word(elements, "Event").lower() == "view_miniprogram",
    )


def _code_scanned(elements: Elements) -> Content:
    info = child(elements, "ScanCodeInfo")
    return CodeScanned(
        key=word(elements, "EventKey"),
        scan_type=word(info, "ScanType"),
        scan_result=text(info, "ScanResult"),
        waits=word(elements, "Event").lower() == "scancode_waitmsg",
    )


def _pictures_sent(elements: Elements) -> Content:
    pictures = children(child(elements, "SendPicsInfo"), "PicList")
    # XML has PicList/item, JSON may have the items as the list itself.
    items = [item for entry in pictures for item in (children(entry, "item") or (entry,))]
    return PicturesSent(
        key=word(elements, "EventKey"),
        source=word(elements, "Event").lower(),
        md5_sums=tuple(word(item, "PicMd5Sum") for item in items),
    )


def _location_selected(elements: Elements) -> Content:
    info = child(elements, "SendLocationInfo")
    return LocationSelected(
        key=word(elements, "EventKey"),
        latitude=decimal(info, "Location_X"),
        longitude=decimal(info, "Location_Y"),
        scale=integer(info, "Scale"),
        label=text(info, "Label"),
        poi_name=text(info, "Poiname"),
    )


MENU_REPORTS: Reports = {
    "unsubscribe": lambda _elements: Unsubscribed(),
    "location": _location_reported,
    "click": lambda elements: MenuClicked(word(elements, "EventKey")),
    "view": _menu_viewed,
    "view_miniprogram": _menu_viewed,
    "scancode_push": _code_scanned,
    "scancode_waitmsg": _code_scanned,
    "pic_sysphoto": _pictures_sent,
    "pic_photo_or_album": _pictures_sent,
    "pic_weixin": _pictures_sent,
    "location_select": _location_selected,
}
