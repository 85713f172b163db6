"""Which way a message goes, in one place.

::

    an answer        response_url   the stream the platform polls, else one call to the address it gave
    to somebody      connection     through the long connection, by the process that holds it
                     window         by a call of ours while the window after the person's last act is open
                     active         by a call of ours, at any time
                     none           listed as undeliverable

    what nobody      connection, window, active as above, where the channel may speak unprompted there;
    asked for        otherwise it is refused before anything is queued, with the reason in plain words

(A passive reply, in the HTTP response, is decided earlier: `bot.delivery.division`.) The row of the channel
says which of these it has (`bot.delivery.routes`): each has one way in a direct chat and one in a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bot.delivery.errcodes import Explanation
from bot.delivery.routes import ChannelAbilities, Route

if TYPE_CHECKING:
    from bot.delivery.routes import Abilities


class Way(NamedTuple):
    """The way of one message: its route by a row of the table."""

    route: Route
    row: Abilities


class NoWay(NamedTuple):
    """Why a channel cannot say something unprompted; `field` is what to change: channel, member or group."""

    field: str
    text: Explanation


def way_of_answer(known: ChannelAbilities | None, group_id: str) -> Route:
    """Return the way of an answer that goes in no HTTP response; NONE: it is listed as undeliverable."""
    return Route.NONE if known is None else known.later(group_id)


def way_unprompted(known: ChannelAbilities, group_id: str) -> Way | NoWay:
    """Return the way of what nobody asked for, to a group or, without `group_id`, to a person."""
    row = known.row(group_id)
    if row is None:
        return _NO_GROUP if group_id else _NO_DIRECT
    if not known.can_send:
        return _NO_SECRET
    if not row.send_later:
        return _ANSWERS_ONLY
    if not (row.group_send if group_id else row.direct_send):
        return _NO_GROUP if group_id else _NO_DIRECT
    return Way(row.later, row)


_NO_GROUP = NoWay(
    "group",
    Explanation(
        "this channel cannot write to a group",
        "name a member, or use a channel that can write to groups",
        "该渠道不能向群发送消息",
        "请改为指定成员，或使用可以向群发送的渠道",
    ),
)
_NO_DIRECT = NoWay(
    "member",
    Explanation(
        "this channel cannot write to one person",
        "name a group, or use a channel that can write to people",
        "该渠道不能向个人发送消息",
        "请改为指定群，或使用可以向个人发送的渠道",
    ),
)
_NO_SECRET = NoWay(
    "channel",
    Explanation(
        "this channel has no secret, so it cannot send by itself",
        "set the channel's secret in the configuration",
        "该渠道没有配置 secret，不能主动发送",
        "请在配置中填写该渠道的 secret",
    ),
)
_ANSWERS_ONLY = NoWay(
    "channel",
    Explanation(
        "this channel can only answer: the platform lets it say nothing unprompted",
        "use the bot by long connection (mode: long_connection), an app or a robot",
        "该渠道只能回复：平台不允许它主动发送",
        "请改用长连接方式（mode: long_connection）、自建应用或群机器人",
    ),
)
