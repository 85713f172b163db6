from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.testing import FakeChat, Stores
from handlers import check_in, points

ROUTERS = [check_in.router, points.router]
SHANGHAI_MIDNIGHT = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)  # 00:00 on 3 March in Shanghai


async def test_check_in_counts_once_a_day_and_again_after_midnight(stores: Stores) -> None:
    """The day is the community's: two seconds later it is a new one."""
    before = SHANGHAI_MIDNIGHT - timedelta(seconds=1)
    async with FakeChat(ROUTERS, at=before, stores=stores) as chat:
        first = await chat.say("alice", "签到")
        again = await chat.say("alice", "签到")
        chat.pass_time(timedelta(seconds=2))
        next_day = await chat.say("alice", "签到")

    assert first is not None and "今天第 1 位，+10 积分，现有 10 积分" in first
    assert again is not None and again.startswith("今天已经签到过了（连续 1 天，累计 1 天，现有 10 积分）")
    assert next_day is not None and "连续 2 天，累计 2 天" in next_day
