"""The order of a chat: first come, first served, and nobody waits for ever."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bot.order import ChatOrder

LONG_S = 30.0


async def test_the_events_of_a_chat_go_one_after_the_other() -> None:
    order, went = ChatOrder(), list[int]()

    async def go(number: int) -> None:
        place = order.enter("chat")
        await place.wait(LONG_S)
        for _ in range(5 - number):  # the later ones would be quicker
            await asyncio.sleep(0)
        went.append(number)
        place.leave()

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(go(number))
    assert went == [0, 1, 2, 3, 4]


async def test_chats_do_not_wait_for_each_other() -> None:
    order = ChatOrder()
    order.enter("one")
    await asyncio.wait_for(order.enter("other").wait(LONG_S), timeout=5)


async def test_who_hangs_holds_the_next_for_the_given_time_only() -> None:
    order = ChatOrder()
    order.enter("chat")
    await asyncio.wait_for(order.enter("chat").wait(0.01), timeout=5)


async def test_who_left_early_lets_the_next_go_though_another_still_works() -> None:
    """A late handler leaves its place, and those behind it must not wait for what they never see end."""
    order = ChatOrder()
    first, second, third = (order.enter("chat") for _ in range(3))
    waiting = asyncio.create_task(third.wait(LONG_S))
    second.leave()
    await asyncio.wait_for(waiting, timeout=5)
    first.leave()


async def test_leaving_twice_is_harmless() -> None:
    order = ChatOrder()
    place = order.enter("chat")
    place.leave()
    place.leave()
    again = order.enter("chat")
    place.leave()
    waiting = asyncio.create_task(order.enter("chat").wait(LONG_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    again.leave()
    await asyncio.wait_for(waiting, timeout=5)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_whatever_the_handlers_do_the_order_of_each_chat_is_kept(events: list[tuple[int, int]]) -> None:
    """`events` are (chat, turns of the loop its handler takes)."""

    async def run() -> dict[int, list[int]]:
        order = ChatOrder()
        went: dict[int, list[int]] = {chat: [] for chat in range(4)}

        async def go(number: int, chat: int, turns: int) -> None:
            place = order.enter(str(chat))
            try:
                await place.wait(LONG_S)
                for _ in range(turns):
                    await asyncio.sleep(0)
                went[chat].append(number)
            finally:
                place.leave()

        async with asyncio.TaskGroup() as group:
            for number, (chat, turns) in enumerate(events):
                group.create_task(go(number, chat, turns))
        return went

    for chat, numbers in asyncio.run(run()).items():
        assert numbers == [number for number, (own, _) in enumerate(events) if own == chat]
