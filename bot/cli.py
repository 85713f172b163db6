"""The command line: serve (the default), worker, check, doctor, verify, verify-round, rebuild, token ….

`--config` may stand before or after the command. Every command works with the server running or stopped.
Exit codes: 0 well, 1 the thing checked is wrong, 2 usage or configuration.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from bot.catalog import load_catalog
from bot.config import Config, load_config, place_in_file
from bot.errors import BotError, ConfigError, Fault
from bot.routing.router import Router

WRONG, USAGE = 1, 2
_Command = Callable[..., None]


class Cli:
    """All commands over one list of routers."""

    def __init__(self, routers: Sequence[Router]) -> None:
        """Offer `routers`; plug-ins of the configuration come after the last but one of them."""
        self._routers = tuple(routers)

    def run(self, arguments: Sequence[str] | None = None) -> None:
        """Run one command and end the process with its exit code."""
        try:
            self._group().main(args=None if arguments is None else list(arguments), prog_name="huoqun")
        except ConfigError as error:
            for fault in error.faults:
                click.echo(str(fault), err=True)
            sys.exit(USAGE)
        except BotError as error:
            click.echo(str(error), err=True)
            sys.exit(USAGE)

    def _group(self) -> click.Group:
        @click.group(invoke_without_command=True, help=__doc__)
        @_config_option
        @click.pass_context
        def group(ctx: click.Context, config: str | None) -> None:
            ctx.obj = config
            if ctx.invoked_subcommand is None:
                ctx.invoke(commands["serve"], config=None)

        commands = {
            name: self._command(name, run, options)
            for name, run, options in (
                ("serve", self._serve, ()),
                ("worker", self._worker, ()),
                ("check", self._check, (_channels_option,)),
                ("verify", self._verify, (_json_option,)),
                ("verify-round", self._verify_round, (_round_argument, _json_option)),
                ("rebuild", self._rebuild, (_json_option,)),
                ("doctor", self._doctor, (_json_option,)),
                ("sandbox", self._sandbox, _play_options),
            )
        }
        for command in commands.values():
            group.add_command(command)
        group.add_command(self._token_group())
        return group

    def _command(self, name: str, run: _Command, options: Sequence[Callable[[Any], Any]]) -> click.Command:
        @click.pass_context
        def invoke(ctx: click.Context, /, config: str | None, **values: Any) -> None:
            run(_chosen(ctx, config), **values)

        callback: Any = invoke
        for option in options:
            callback = option(callback)
        return click.command(name, help=(run.__doc__ or "").strip())(_config_option(callback))

    # ------------------------------------------------------------ commands

    def _serve(self, path: Path) -> None:
        """Serve until told to stop; prints one line `ready http://…` when it can answer."""
        from bot.serve import Program, serve  # noqa: PLC0415 - the other commands need no server

        config = load_config(path, os.environ)
        say = _announce_demo if config.sandbox.enabled else announce
        serve(Program(config, self.routers(config, path), load_catalog()), say)

    def _worker(self, path: Path) -> None:
        """Do the work beside the answers (drain, sends, late handlers) in a process of its own."""
        from bot.serve import Program, work_beside  # noqa: PLC0415

        config = load_config(path, os.environ)
        work_beside(Program(config, self.routers(config, path), load_catalog()))

    def _check(self, path: Path, *, channels: bool) -> None:
        """Check configuration, texts and routers; print every fault with file, line and key path."""
        from bot.checks import check_program, describe_channels  # noqa: PLC0415

        try:
            config = load_config(path, os.environ)
            warnings = check_program(config, self.routers(config, path), load_catalog())
        except ConfigError as error:
            for fault in error.faults:
                click.echo(str(fault))
            sys.exit(WRONG)
        for warning in warnings:
            click.echo(f"warning: {warning}")
        for line in describe_channels(config) if channels else ():
            click.echo(line)
        click.echo(f"{path}: well")

    def _verify(self, path: Path, *, as_json: bool) -> None:
        """Compare ledger, balances, check-ins and activity of Redis and SQL; list what disagrees."""
        from bot.tools import run_verify  # noqa: PLC0415

        sys.exit(run_verify(load_config(path, os.environ), as_json=as_json, echo=click.echo))

    def _verify_round(self, path: Path, *, round_id: str, as_json: bool) -> None:
        """Recompute a round that has ended, and compare what was published and paid.

        Exits 0 when all agrees, 1 when not, 2 for a round that is unknown or still open.
        """
        from bot.tools import run_verify_round  # noqa: PLC0415

        config = load_config(path, os.environ)
        games = {game.play.name: game for router in self.routers(config, path) for game in router.games}
        sys.exit(run_verify_round(config, games, load_catalog(), round_id, as_json=as_json, echo=click.echo))

    def _rebuild(self, path: Path, *, as_json: bool) -> None:
        """Restore the live state in Redis from SQL."""
        from bot.tools import run_rebuild  # noqa: PLC0415

        sys.exit(run_rebuild(load_config(path, os.environ), as_json=as_json, echo=click.echo))

    def _doctor(self, path: Path, *, as_json: bool) -> None:
        """Examine tokens, callbacks, permissions, clocks and stores; name cause and cure of every fault."""
        from bot.tools import run_doctor_here  # noqa: PLC0415

        sys.exit(run_doctor_here(load_config(path, os.environ), as_json=as_json, echo=click.echo))

    def _sandbox(
        self, path: Path, *, play: Sequence[str], channels: Sequence[str], faults: str, api_token: str
    ) -> None:
        """Chat with the running server in the terminal, through its sandbox; or play scenarios there."""
        from bot.tools import PlayOrder, run_play, run_sandbox  # noqa: PLC0415

        config = load_config(path, os.environ)
        if not play:
            if channels or faults:
                raise click.UsageError("--channel and --faults go with --play")
            sys.exit(run_sandbox(config))
        names = tuple(name for name in faults.split(",") if name)
        sys.exit(run_play(config, PlayOrder(tuple(play), tuple(channels), names, api_token), echo=click.echo))

    def _token_group(self) -> click.Group:
        from bot.token_commands import token_group  # noqa: PLC0415

        return token_group(_config_option, _chosen)

    def routers(self, config: Config, path: Path | None = None) -> tuple[Router, ...]:
        """Return the product's routers with those of the plug-ins before the last, which takes every text.

        `path` is the file that `config` was loaded from.

        Raises:
            ConfigError: A plug-in cannot be imported or has no `router` or `routers`; all such at once.
        """
        faults: list[Fault] = []
        added: list[Router] = []
        for number, name in enumerate(config.plugins):
            try:
                module = importlib.import_module(name)
                found = getattr(module, "routers", None) or [module.router]
                added.extend(found)
            except (ImportError, AttributeError, SyntaxError) as error:
                where = place_in_file(path, ("plugins", number)) if path else "configuration"
                cure = "give an importable module with `router = Router(…)` or `routers = […]`"
                faults.append(Fault(where, f"plugins[{number}]", f"{name}: {error}", cure))
        if faults:
            raise ConfigError(faults)
        return (*self._routers[:-1], *added, *self._routers[-1:])


def announce(base: str) -> None:
    """Print the line that says we answer, at once even into a pipe."""
    click.echo(f"ready {base}")
    sys.stdout.flush()


def _announce_demo(base: str) -> None:
    """Tell a person in front of the demo where to go; programs read the first line, on standard output."""
    announce(base)
    click.echo(
        f"聊天页面 chat page  {base}/sandbox/\n"
        f"接口 API            {base}/api/v1/openapi.json (token: run.py token create)\n"
        "按 Ctrl-C 结束 · Ctrl-C stops everything",
        err=True,
    )


def _chosen(ctx: click.Context, config: str | None) -> Path:
    """The configuration file named after the command, before it, or the usual one."""
    before = ctx.find_root().obj
    return Path(config or before or "config.yaml")


_config_option = click.option(
    "--config", metavar="FILE", default=None, help="Configuration file (default: config.yaml)."
)
_channels_option = click.option(
    "--channels", is_flag=True, help="Also say what each channel can do and cannot do."
)
_play_options = (
    click.option(
        "--play", multiple=True, metavar="FILE", help="Play a scenario: a file, a folder, a shipped one, all."
    ),
    click.option("--channel", "channels", multiple=True, metavar="NAME", help="Play on this channel only."),
    click.option("--faults", default="", metavar="NAME,…", help="What goes wrong before each act."),
    click.option(
        "--token", "api_token", default="", envvar="HUOQUN_TOKEN", metavar="TOKEN",
        help="Token of the API, for steps that look at deliveries (or HUOQUN_TOKEN).",
    ),
)  # fmt: skip
_round_argument = click.argument("round_id", metavar="ID")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")
