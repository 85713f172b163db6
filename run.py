"""Huoqun's command line, and the one list that says which features a bot has."""

from __future__ import annotations

from bot.cli import Cli
from handlers import check_in, dice, help, keywords, managers, points, quiet, red_packets, rounds, welcome  # noqa: A004 - a module named for its command

# In this order: commands first come first served, keyword rules last, so that a rule never hides a command.
ROUTERS = (
    welcome.router,
    check_in.router,
    points.router,
    managers.router,
    rounds.router,
    dice.router,
    red_packets.router,
    quiet.router,
    help.router,
    keywords.router,
)


def main() -> None:
    """Run the command line; exit code 0 is well, 1 the thing checked is wrong, 2 usage or configuration."""
    Cli(ROUTERS).run()


if __name__ == "__main__":
    main()
