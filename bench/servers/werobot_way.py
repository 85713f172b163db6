"""WeRoBot as its documentation mounts it in Tornado: one filter per rule, no session storage, no Redis work.

It speaks the Official Account's protocol only, so it gets that channel's callbacks, encrypted.

``python -m bench.servers.werobot_way --rules 10000``
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Callable

import tornado.httpserver
import tornado.netutil
import tornado.web
from werobot import WeRoBot
from werobot.contrib.tornado import make_handler

from bench.workload import WECHAT, make_rules


def _robot(rule_count: int) -> WeRoBot:
    robot = WeRoBot(
        token=WECHAT.token,
        app_id=WECHAT.receiver_id,
        encoding_aes_key=WECHAT.encoding_aes_key,
        SESSION_STORAGE=False,
    )
    for rule in make_rules(rule_count):
        # A filter of plain text is an exact match in WeRoBot; "contains" needs a pattern.
        robot.add_filter(_constant(rule.answers[0]), [re.compile(f".*{re.escape(rule.triggers[0])}")])
    return robot


def _constant(answer: str) -> Callable[[], str]:
    def say() -> str:
        return answer

    return say


async def _serve(rule_count: int) -> None:
    app = tornado.web.Application([("/callback/oa", make_handler(_robot(rule_count)))])
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1", backlog=1024)
    server = tornado.httpserver.HTTPServer(app)
    server.add_sockets(sockets)
    print(f"ready http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().rules))


if __name__ == "__main__":
    main()
