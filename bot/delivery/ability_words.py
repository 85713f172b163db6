"""What a channel can and cannot do, in plain sentences of both languages, made from its rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.delivery.routes import Route, Scope, Sight

if TYPE_CHECKING:
    from bot.delivery.routes import Abilities, ChannelAbilities, Rate

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000

# The words of the table that are shown, in Chinese.
CHINESE = {
    "employees": "企业成员",
    "followers": "关注者",
    "any time": "随时",
    "to chats it knows": "仅限它认识的会话",
    "within 48 h of their last message, at most 5 messages": "用户最近一次发消息后 48 小时内，最多 5 条",
    "groups that the app made itself": "该应用自己创建的群",
    "employees who wrote to it before": "曾给它发过消息的企业成员",
    "groups in which it was mentioned before": "曾在其中 @ 过它的群",
    "the one internal group it was added to": "它所在的那一个内部群",
    "scene of the QR code": "二维码的场景值",
    "text": "文本",
    "markdown": "Markdown",
    "image": "图片",
    "voice": "语音",
    "video": "视频",
    "file": "文件",
    "news": "图文",
    "mini_program": "小程序",
    "template_card": "模板卡片",
    "card_update": "卡片更新",
    "subscribe": "关注（或应用可见）",
    "unsubscribe": "取消关注（或应用不可见）",
    "message": "发消息",
    "menu_click": "点菜单",
    "scan": "扫码",
}


@dataclass(slots=True)
class Sentences:
    """Plain sentences about one channel: what it can do, what it cannot, in English and Chinese."""

    can: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    can_zh: list[str] = field(default_factory=list)
    cannot_zh: list[str] = field(default_factory=list)

    def add(self, english: str, chinese: str, *, able: bool = True) -> None:
        """Add one thing."""
        (self.can if able else self.cannot).append(english)
        (self.can_zh if able else self.cannot_zh).append(chinese)


def sentences(known: ChannelAbilities) -> Sentences:
    """Return every column of the channel's rows as sentences."""
    said = Sentences()
    _direct(said, known.direct)
    _group(said, known.group)
    if known.direct is not None and known.direct == known.group:
        _row(said, known.direct, "In any chat", "任何会话中")
    else:
        if known.direct is not None:
            _row(said, known.direct, "In a direct chat", "单聊中")
        if known.group is not None:
            _row(said, known.group, "In a group", "群聊中")
    if not known.can_send:
        said.add(
            "It has no secret, so whatever is late or does not fit in one answer is not sent.",
            "未配置 secret，迟到或放不进一次回复的内容都不会发送。",
            able=False,
        )
    return said


def _direct(said: Sentences, row: Abilities | None) -> None:
    if row is None or not row.direct_messages:
        said.add("Nobody can write to it one to one.", "没有人能与它单聊。", able=False)
    else:
        who = row.direct_messages
        said.add(f"One to one it is written to by {who}.", f"可与它单聊的人：{CHINESE[who]}。")
    if row is None or not row.direct_send:
        said.add(
            "It writes to nobody one to one unless asked." if row else "It writes to nobody one to one.",
            "不会主动单独发消息给任何人。" if row else "不能单独发消息给任何人。",
            able=False,
        )
    else:
        said.add(
            f"It writes unprompted to {row.direct_send} ({row.send_later}).",
            f"可主动单独发消息给{CHINESE[row.direct_send]}（{CHINESE[row.send_later]}）。",
        )
    if row is not None and row.join_events:
        names = ", ".join(row.join_events)
        names_zh = "、".join(CHINESE[name] for name in row.join_events)
        said.add(f"It hears who comes and goes: {names}.", f"能得知来去事件：{names_zh}。")
    else:
        said.add("It does not hear who comes and goes.", "不能得知谁加入、谁离开。", able=False)
    if row is not None and row.inviter:
        said.add(f"It learns who invited by the {row.inviter}.", f"通过{CHINESE[row.inviter]}得知邀请人。")
    else:
        said.add("It does not learn who invited whom.", "不能得知谁邀请了谁。", able=False)


def _group(said: Sentences, row: Abilities | None) -> None:
    sight = Sight.NOTHING if row is None else row.group_sight
    match sight:
        case Sight.ALL:
            said.add("It sees every message of its groups.", "能看到群内所有消息。")
        case Sight.MENTIONS:
            said.add("In groups it sees messages that mention it (@).", "群内能看到 @ 它的消息。")
            said.add(
                "It does not see any other message of a group: activity there is not observable.",
                "看不到群内其他消息，群活跃度不可观测。",
                able=False,
            )
        case Sight.NOTHING:
            said.add(
                "It sees nothing of what is said in groups: activity there is not observable.",
                "看不到群内任何消息，群活跃度不可观测。",
                able=False,
            )
    reply = row is not None and row.group_reply
    said.add(
        "It answers in a group at once." if reply else "It cannot answer in a group.",
        "能在群内即时回复。" if reply else "不能在群内回复。",
        able=reply,
    )
    if row is None or not row.group_send:
        said.add("It says nothing unprompted in a group.", "不能在群内主动发言。", able=False)
    else:
        said.add(
            f"It writes unprompted to {row.group_send} ({row.send_later}).",
            f"可主动发送到{CHINESE[row.group_send]}（{CHINESE[row.send_later]}）。",
        )


def _row(said: Sentences, row: Abilities, english: str, chinese: str) -> None:
    if row.passive_parts:
        said.add(
            f"{english} it answers within {row.deadline_s:g} s with one of: {_list(row.passive_parts)}.",
            f"{chinese}须在 {row.deadline_s:g} 秒内回复，可用：{_list_zh(row.passive_parts)}。",
        )
    if row.later is not Route.NONE:
        said.add(
            f"{english} what is late or unprompted is one of: {_list(row.active_parts)}; text up to "
            f"{row.text_limit_bytes} bytes, Markdown up to {row.markdown_limit_bytes}, "
            f"articles up to {row.most_articles}.",
            f"{chinese}稍后或主动发送可用：{_list_zh(row.active_parts)}；"
            f"文本不超过 {row.text_limit_bytes} 字节，"
            f"Markdown 不超过 {row.markdown_limit_bytes} 字节，图文不超过 {row.most_articles} 条。",
        )
    if row.mentions:
        said.add(f"{english} it can mention people.", f"{chinese}可以 @ 人。")
    if row.most_sends:
        said.add(
            f"{english} at most {row.most_sends} message may follow an answer.",
            f"{chinese}一次提问最多补发 {row.most_sends} 条消息。",
        )
    if row.answer_for_ms:
        hours = row.answer_for_ms // _HOUR_MS
        said.add(f"{english} an answer has {hours} h.", f"{chinese}回复时限为 {hours} 小时。")
    for rate in row.rates:
        said.add(f"{english} at most {_rate(rate)}.", f"{chinese}最多{_rate_zh(rate)}。")
    for window in row.windows:
        length, length_zh = _length(window.per_ms)
        said.add(
            f"{english} at most {window.most} messages within {length} after: {window.act}.",
            f"{chinese}在“{CHINESE[window.act]}”后 {length_zh}内最多 {window.most} 条。",
        )
    if row.human_confirmation:
        said.add(
            f"{english} a person must confirm before anything is sent.", f"{chinese}发送前须由人工确认。"
        )


def _rate(rate: Rate) -> str:
    what = "persons reached" if rate.persons else "messages"
    whose = "of the whole channel" if rate.scope is Scope.CHANNEL else "to one receiver"
    return f"{rate.most} {what} {whose} in {_length(rate.per_ms)[0]}"


def _rate_zh(rate: Rate) -> str:
    unit = "人次" if rate.persons else "条"
    whose = "整个渠道" if rate.scope is Scope.CHANNEL else "每个接收方"
    return f"{whose}每 {_length(rate.per_ms)[1]} {rate.most} {unit}"


def _length(length_ms: int) -> tuple[str, str]:
    for unit_ms, word, word_zh in (
        (_DAY_MS, "d", "天"),
        (_HOUR_MS, "h", "小时"),
        (_MINUTE_MS, "min", "分钟"),
    ):
        if length_ms % unit_ms == 0:
            return f"{length_ms // unit_ms} {word}", f"{length_ms // unit_ms} {word_zh}"
    return f"{length_ms / 1000:g} s", f"{length_ms / 1000:g} 秒"


def _list(kinds: frozenset[str]) -> str:
    return ", ".join(_in_order(kinds, str))


def _list_zh(kinds: frozenset[str]) -> str:
    return "、".join(_in_order(kinds, CHINESE.__getitem__))


def _in_order(kinds: frozenset[str], word: Callable[[str], str]) -> list[str]:
    return [word(kind) for kind in CHINESE if kind in kinds]
