from __future__ import annotations

from tests.api.world import World


async def test_communities_are_shown_as_configured(world: World) -> None:
    milk, tea = await world.items("/communities")
    assert milk == {
        "id": "milk", "name": "鲜奶社群", "channels": ["app"], "time_zone": "Asia/Shanghai",
        "day_start": "00:00", "today": "2026-03-02", "language": "zh-CN", "managers": ["app:ana"],
    }  # fmt: skip
    assert (tea["day_start"], tea["today"], tea["channels"]) == ("04:00", "2026-03-01", ["oa"])
    assert (await world.get("/communities/tea")).body == tea
    assert await world.items("/communities", limit="1") == [milk, tea]
