from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bot.clock import SystemClock
from bot.errors import RefusedError
from bot.storage.sql.api_tokens import ApiToken, ApiTokenStore
from bot.storage.sql.database import Database
from bot.token_commands import token_group

CONFIG = """\
storage: {{database: "{database}"}}
channels: [{{name: oa, kind: wechat_oa, app_id: wx0, secret: "", token: t0ken, mode: plain}}]
communities: [{{id: milk, channels: [oa]}}]
"""


def _chosen(ctx: click.Context, config: str | None) -> Path:
    return Path(config or ctx.find_root().obj)


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(database=database_url))
    return path


def run(config: Path, *arguments: str) -> Result:
    option = click.option("--config", default=None)
    return CliRunner().invoke(token_group(option, _chosen), ["--config", str(config), *arguments])


def find(database_url: str, plaintext: str) -> ApiToken | None:
    async def ask() -> ApiToken | None:
        database = await Database.open(database_url)
        try:
            return await ApiTokenStore(database, SystemClock()).find(plaintext)
        finally:
            await database.close()

    return asyncio.run(ask())


def test_a_token_is_printed_alone_listed_without_itself_and_revoked(config: Path, database_url: str) -> None:
    made = run(config, "create", "--name", "console", "--role", "manager", "--community", "milk")
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert made.stdout == f"{token}\n"
    assert token not in made.stderr
    known = find(database_url, token)
    assert known is not None
    assert (known.name, known.role, known.community) == ("console", "manager", "milk")

    listed = run(config, "list", "--json")
    (row,) = json.loads(listed.stdout)
    assert {key: row[key] for key in ("id", "name", "role", "community", "revoked_at")} == {
        "id": known.id, "name": "console", "role": "manager", "community": "milk", "revoked_at": None,
    }  # fmt: skip
    assert token not in listed.stdout

    assert run(config, "revoke", str(known.id)).exit_code == 0
    assert find(database_url, token) is None
    assert json.loads(run(config, "list", "--json").stdout)[0]["revoked_at"] is not None
    assert "revoked" in run(config, "list").stdout
    for unknown in (str(known.id), "999", "9" * 40):
        assert run(config, "revoke", unknown).exit_code == 1


def test_config_may_stand_after_the_command(config: Path) -> None:
    option = click.option("--config", default=None)
    group = token_group(option, _chosen)
    arguments = ["create", "--name", "n", "--role", "owner", "--config", str(config)]
    assert CliRunner().invoke(group, arguments).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--name", "n", "--role", "owner", "--community", "mlk"), "did you mean milk?"),
        (("--name", "  ", "--role", "owner"), "--name"),
        (("--name", "a\nb", "--role", "owner"), "--name"),
        (("--name", "n" * 101, "--role", "owner"), "--name"),
    ],
)
def test_what_cannot_be_made_is_refused_with_its_cure(
    config: Path, arguments: tuple[str, ...], said: str
) -> None:
    result: Any = run(config, "create", *arguments)
    assert isinstance(result.exception, RefusedError)  # the command line turns it into exit code 2
    assert said in str(result.exception)
    assert json.loads(run(config, "list", "--json").stdout) == []


def test_an_unknown_role_is_a_matter_of_usage(config: Path) -> None:
    assert run(config, "create", "--name", "n", "--role", "boss").exit_code == 2
