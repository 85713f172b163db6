"""The reports of an Official Account.

Source: WeChat, events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.model import (
    MassMessageSent,
    NoticeConsent,
    NoticesChanged,
    Scanned,
    Subscribed,
    TemplateMessageSent,
)
from bot.platforms.codec import MENU_REPORTS, Reports
from bot.platforms.elements import Elements, children, integer, word

if TYPE_CHECKING:
    from bot.model import Content

_SCENE_PREFIX = "qrscene_"
# Event name → the element its list stands in.
_NOTICE_ELEMENTS = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
    "subscribe_msg_sent_event": "SubscribeMsgSentEvent",
}


def _subscribed(elements: Elements) -> Content:
    key, ticket = word(elements, "EventKey"), word(elements, "Ticket")
    # Without prefix and ticket the key is about something else than a QR code.
    by_code = key.startswith(_SCENE_PREFIX) or ticket
    return Subscribed(scene=key.removeprefix(_SCENE_PREFIX) if by_code else "", ticket=ticket)


def _scanned(elements: Elements) -> Content:
    scene = word(elements, "EventKey").removeprefix(_SCENE_PREFIX)
    return Scanned(scene=scene, ticket=word(elements, "Ticket"))


def _template_sent(elements: Elements) -> Content:
    return TemplateMessageSent(message_id=_message_id(elements), status=word(elements, "Status"))


def _mass_sent(elements: Elements) -> Content:
    return MassMessageSent(
        message_id=_message_id(elements),
        status=word(elements, "Status"),
        total=integer(elements, "TotalCount"),
        filtered=integer(elements, "FilterCount"),
        sent=integer(elements, "SentCount"),
        failed=integer(elements, "ErrorCount"),
    )


def _message_id(elements: Elements) -> str:
    """Return the id of the message reported on; these events spell it MsgID."""
    return word(elements, "MsgID") or word(elements, "MsgId")


def _notices_changed(elements: Elements) -> Content:
    source = word(elements, "Event").lower()
    return NoticesChanged(
        source=source,
        notices=tuple(
            _notice(entry)
            for holder in children(elements, _NOTICE_ELEMENTS[source])
            for entry in children(holder, "List")
        ),
    )


def _notice(entry: Elements) -> NoticeConsent:
    return NoticeConsent(
        template_id=word(entry, "TemplateId"),
        status=word(entry, "SubscribeStatusString") or word(entry, "ErrorStatus"),
        message_id=_message_id(entry),
        error_code=integer(entry, "ErrorCode"),
    )


REPORTS: Reports = {
    **MENU_REPORTS,
    "subscribe": _subscribed,
    "scan": _scanned,
    "templatesendjobfinish": _template_sent,
    "masssendjobfinish": _mass_sent,
    "subscribe_msg_popup_event": _notices_changed,
    "subscribe_msg_change_event": _notices_changed,
    "subscribe_msg_sent_event": _notices_changed,
}
