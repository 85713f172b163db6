"""Every command a page names exists, and every command there is has a page."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bot.cli import Cli
from run import ROUTERS
from tests.docs.pages import PAGES, ROOT, Page, page

_EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
_RUN = re.compile(r"(?:\.venv/bin/python )?run\.py((?: [^\n`…]+)?)")


def _group() -> click.Group:
    return Cli(ROUTERS)._group()


def _code_of(page: Page) -> list[str]:
    """Return every line of code of a page, in blocks and in the text."""
    return [line for text in page.block("sh") for line in text.splitlines()] + page.spans


@_EVERY_PAGE
def test_every_make_target_exists(page: Page) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {
        target for line in re.findall(r"^(\S[^:=\n]*):", makefile, re.MULTILINE) for target in line.split()
    }
    targets = {target.replace("$(VENV)", ".venv") for target in targets}
    named = {match for line in _code_of(page) for match in re.findall(r"^(?:\w+=\S+ )?make (\S+)", line)}
    assert named - targets == set()


@_EVERY_PAGE
def test_every_command_of_run_py_is_understood_with_its_options(page: Page) -> None:
    for line in _code_of(page):
        for arguments in _RUN.findall(line):
            _parse(_group(), shlex.split(arguments))


def _parse(command: click.Command, arguments: list[str]) -> None:
    """Have click read the arguments as it would, without running the command."""
    while True:
        context = command.make_context(command.name, list(arguments), resilient_parsing=False)
        rest = [*context._protected_args, *context.args]
        if not isinstance(command, click.Group) or not rest:
            return
        found = command.get_command(context, rest[0])
        assert found is not None, f"{command.name} has no command {rest[0]}"
        command, arguments = found, rest[1:]


def test_the_changelog_lists_every_command_and_the_readme_no_absent_one() -> None:
    commands = set(_group().commands)
    (line,) = re.findall(r"^- Commands: (.+)$", page("CHANGELOG.md").text, re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", line)) == commands

    absent = (
        page("README.md").prose.split("## What is not there yet")[1].split("Commands:")[1].split("\n\n")[0]
    )
    assert set(re.findall(r"`(\w+)`", absent)) & commands == set()


def test_the_tree_in_the_readme_names_what_exists() -> None:
    (tree,) = page("README.md").block("text")
    names = [name for line in tree.splitlines() for name in re.split(r"  +", line)[:-1]]
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_backup_command_copies_a_database_that_is_in_use(tmp_path: Path) -> None:
    (line,) = [line for line in _code_of(page("docs/operations.md")) if "sqlite3" in line and " -c " in line]
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data/history.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE ledger (delta INTEGER)")
        database.execute("INSERT INTO ledger VALUES (7)")
        database.commit()
        subprocess.run([sys.executable, *shlex.split(line)[1:]], cwd=tmp_path, check=True)
    database.close()

    copy = sqlite3.connect(tmp_path / "backup.db")
    assert copy.execute("SELECT delta FROM ledger").fetchall() == [(7,)]
    copy.close()


def test_a_server_whose_sandbox_is_off_loads_neither_it_nor_wechatpy() -> None:
    code = (
        "import sys, run, bot.serve, bot.wiring\n"
        "print([name for name in sys.modules if name.startswith(('bot.sandbox', 'wechatpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
