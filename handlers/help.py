"""帮助: what can be said here, by role."""

from __future__ import annotations

from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router

router = Router("help")

# Commands the menu's own texts explain; words of plug-ins are listed below them.
_EXPLAINED = {
    "签到", "补签", "日历", "积分", "明细", "排行", "退订", "订阅", "帮助",
    "关键词", "删关键词", "加分", "静音", "恢复",
    "抢", "骰子", "猜", "加入", "游戏", "结果", "验证", "发红包", "开局", "结束",
}  # fmt: skip


@router.command("帮助", "菜单", "help")
async def show_help(ctx: Context) -> Reply:
    """Show the menu, with the managers' part for managers only."""
    lines = [ctx.text("help.title", community=ctx.community.name), ctx.text("help.member")]
    if ctx.is_manager:
        lines.append(ctx.text("help.manager"))
    extra = [
        words[0]
        for words, for_managers in ctx.commands
        if words[0] not in _EXPLAINED and (ctx.is_manager or not for_managers)
    ]
    if extra:
        lines.append(ctx.text("help.extra", words="、".join(extra)))
    if ctx.event.group_id:
        lines.append(ctx.text("group.mention_me"))
    return Reply.text("\n".join(lines))
