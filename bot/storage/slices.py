"""Long work on the event loop, cut so that callbacks need not wait for all of it.

What is done to one slice before the loop turns again, here or in Redis, is what a callback waits for at most:
some half a millisecond (`docs/benchmarks.md`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

SLICE = 40


async def in_slices(items: Sequence[Item]) -> AsyncIterator[Sequence[Item]]:
    """Yield `items` in order, `SLICE` at a time; the loop turns between two slices."""
    for start in range(0, len(items), SLICE):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + SLICE]
