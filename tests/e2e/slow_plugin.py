"""A plug-in of the tests: commands that wait until the test lets them go, say when they ran, or go wrong.

The directory ``HUOQUN_E2E_GATES`` joins the two: a handler waits there for a file named as it was told, and
writes what it did into the file ``done``, line by line.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router

router = Router("slow")

GATES = "HUOQUN_E2E_GATES"
_TICK_S = 0.01


def _note(word: str, name: str) -> None:
    with (Path(os.environ[GATES]) / "done").open("a", encoding="utf-8") as file:
        file.write(f"{word} {name}\n")


def _is_open(name: str) -> bool:
    return (Path(os.environ[GATES]) / name).exists()


@router.command("等", takes_text=True)
async def wait(ctx: Context) -> Reply:
    """Answer when the gate opens."""
    _note("begun", ctx.rest)
    while not _is_open(ctx.rest):  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(_TICK_S)
    _note("ended", ctx.rest)
    return Reply.text(f"等到了 {ctx.rest}")


@router.command("记", takes_text=True)
async def note(ctx: Context) -> Reply:
    """Answer at once."""
    _note("noted", ctx.rest)
    return Reply.text(f"记下了 {ctx.rest}")


@router.command("抽签")
async def draw(ctx: Context) -> Reply:  # noqa: ARG001 - the same for everybody
    """Answer with something that no two runs have in common, and no process knows of another's."""
    await asyncio.sleep(_TICK_S)
    return Reply.text(f"抽到 {secrets.token_hex(8)}")


@router.command("坏", takes_text=True)
async def fail(ctx: Context) -> Reply:
    """Fail, with what the member wrote in a variable and in the error."""
    wrote = ctx.rest
    raise ValueError(wrote)
