"""The reports of a self-built WeCom app.

Source: WeCom, self-built app, events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.model import ApprovalChanged, BatchJobDone, CardClicked, ContactsChanged, Entered, Subscribed
from bot.platforms.codec import MENU_REPORTS, Reports
from bot.platforms.elements import Elements, child, children, integer, leaves, text, texts, word

if TYPE_CHECKING:
    from bot.model import Content

# What every event has; the event itself or its content says it already.
_COMMON = frozenset(
    ("ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "ChangeType", "AgentID"),
)


def _card_clicked(elements: Elements) -> Content:
    questions = [
        question
        for items in children(elements, "SelectedItems")
        for question in children(items, "SelectedItem")
    ]
    return CardClicked(
        key=word(elements, "EventKey"),
        task_id=word(elements, "TaskId"),
        card_type=word(elements, "CardType"),
        response_code=word(elements, "ResponseCode"),
        selected=tuple(
            (word(question, "QuestionKey"), texts(child(question, "OptionIds"), "OptionId"))
            for question in questions
        ),
        menu=word(elements, "Event").lower() == "template_card_menu_event",
    )


def _batch_job_done(elements: Elements) -> Content:
    job = child(elements, "BatchJob")
    return BatchJobDone(
        job_id=word(job, "JobId"),
        job_type=word(job, "JobType"),
        errcode=integer(job, "ErrCode"),
        errmsg=text(job, "ErrMsg"),
    )


def _own_fields(elements: Elements) -> tuple[tuple[str, str], ...]:
    """Return what an event has beyond the common elements, as (path, text)."""
    return tuple(leaves({name: value for name, value in elements.items() if name not in _COMMON}))


def _contacts_changed(elements: Elements) -> Content:
    return ContactsChanged(change_type=word(elements, "ChangeType"), fields=_own_fields(elements))


def _approval_changed(elements: Elements) -> Content:
    return ApprovalChanged(source=word(elements, "Event").lower(), fields=_own_fields(elements))


REPORTS: Reports = {
    **MENU_REPORTS,
    "subscribe": lambda _elements: Subscribed(),
    "enter_agent": lambda _elements: Entered(),
    "template_card_event": _card_clicked,
    "template_card_menu_event": _card_clicked,
    "batch_job_result": _batch_job_done,
    "change_contact": _contacts_changed,
    "open_approval_change": _approval_changed,
    "sys_approval_change": _approval_changed,
}
