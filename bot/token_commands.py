"""``token create | list | revoke``: the API's bearer tokens, with the server running or stopped."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

from bot.clock import SystemClock, from_ms
from bot.config import Config, load_config, resolve_communities
from bot.errors import RefusedError
from bot.storage.sql.api_tokens import ROLES, ApiToken, ApiTokenStore
from bot.storage.sql.database import Database

WRONG, USAGE = 1, 2
_MOST_NAME_CHARACTERS = 100

_T = TypeVar("_T")
ConfigOption = Callable[[Any], Any]
Chosen = Callable[[click.Context, str | None], Path]


def token_group(config_option: ConfigOption, chosen: Chosen) -> click.Group:
    """Return the commands.

    Args:
        config_option: Decorator that adds ``--config``.
        chosen: Says which configuration file is meant, given what stood after the command.
    """

    @click.group("token", help="Make, list and revoke the API's bearer tokens.")
    @config_option
    @click.pass_context
    def group(ctx: click.Context, config: str | None) -> None:
        ctx.find_root().obj = config or ctx.find_root().obj

    @group.command("create", help="Make a token and print it, alone; it cannot be shown again.")
    @click.option(
        "--name", required=True, help="What it is for; shown as the operator of what is done with it."
    )
    @click.option("--role", required=True, type=click.Choice(ROLES), help="What it allows.")
    @click.option(
        "--community", default=None, metavar="ID", help="The only community it is for; default: all."
    )
    @config_option
    @click.pass_context
    def create(ctx: click.Context, config: str | None, name: str, role: str, community: str | None) -> None:
        click.echo(_create(_load(chosen(ctx, config)), name, role, community))

    @group.command("list", help="List every token, also revoked ones; never the tokens themselves.")
    @click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")
    @config_option
    @click.pass_context
    def list_(ctx: click.Context, config: str | None, *, as_json: bool) -> None:
        tokens = _with_tokens(_load(chosen(ctx, config)), lambda store: store.list())
        click.echo(_as_json(tokens) if as_json else _as_table(tokens))

    @group.command("revoke", help="Take the token of this id out of force, at once.")
    @click.argument("token_id", metavar="ID", type=int)
    @config_option
    @click.pass_context
    def revoke(ctx: click.Context, config: str | None, token_id: int) -> None:
        if not _with_tokens(_load(chosen(ctx, config)), lambda store: store.revoke(token_id)):
            click.echo(f"no token in force has the id {token_id}; `token list` shows all", err=True)
            sys.exit(WRONG)
        click.echo(f"token {token_id} is revoked")

    return group


def _load(path: Path) -> Config:
    return load_config(path, os.environ)


def _create(config: Config, name: str, role: str, community: str | None) -> str:
    """Make a token; return it.

    Raises:
        RefusedError: The name cannot be used, or no community has that id.
    """
    name = name.strip()
    if not name.isprintable() or not 0 < len(name) <= _MOST_NAME_CHARACTERS:
        raise RefusedError(f"--name must be 1 to {_MOST_NAME_CHARACTERS} visible characters")
    if community is not None:
        _check_community(community, [known.id for known in resolve_communities(config)])
    return _with_tokens(config, lambda store: store.create(name, role, community))[1]


def _check_community(community: str, known: list[str]) -> None:
    if community in known:
        return
    nearest = get_close_matches(community, known, 1, 0.4)
    meant = f"did you mean {nearest[0]}? " if nearest else ""
    raise RefusedError(f"there is no community {community!r}: {meant}known are {', '.join(known) or 'none'}")


def _with_tokens(config: Config, ask: Callable[[ApiTokenStore], Coroutine[Any, Any, _T]]) -> _T:
    """Ask the store of tokens one thing; only SQL is used, so it does not matter whether a server runs."""
    from bot.serve import database_url  # noqa: PLC0415 - the group is made for every command, the server is not

    async def run() -> _T:
        database = await Database.open(database_url(config))
        try:
            return await ask(ApiTokenStore(database, SystemClock()))
        finally:
            await database.close()

    return asyncio.run(run())


def _as_json(tokens: Iterable[ApiToken]) -> str:
    rows = [
        {
            "id": token.id,
            "name": token.name,
            "role": token.role,
            "community": token.community,
            "created_at": _instant(token.created_at_ms),
            "revoked_at": None if token.revoked_at_ms is None else _instant(token.revoked_at_ms),
        }
        for token in tokens
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _as_table(tokens: Iterable[ApiToken]) -> str:
    lines = [f"{'id':>4}  {'role':<8}  {'community':<16}  {'made':<16}  {'state':<8}  name"]
    for token in tokens:
        made = _instant(token.created_at_ms)[:16].replace("T", " ")
        state = "in force" if token.revoked_at_ms is None else "revoked"
        community = token.community or "(all)"
        lines.append(f"{token.id:>4}  {token.role:<8}  {community:<16}  {made:<16}  {state:<8}  {token.name}")
    return "\n".join(lines)


def _instant(at_ms: int) -> str:
    return from_ms(at_ms).isoformat(timespec="seconds")
