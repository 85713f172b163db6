from __future__ import annotations

import asyncio

from bot.storage.slices import SLICE, in_slices


async def test_all_items_come_in_order_and_others_get_their_turn_between_slices() -> None:
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(somebody_else())
    seen: list[int] = []
    before_slices = []
    async for some in in_slices(range(3 * SLICE + 1)):
        seen += some
        before_slices.append(turns)
    beside.cancel()
    assert seen == list(range(3 * SLICE + 1))
    assert before_slices == [0, 1, 2, 3]


async def test_nothing_makes_no_slice() -> None:
    empty: tuple[int, ...] = ()
    assert [some async for some in in_slices(empty)] == []
