"""The documented way: wechatpy inside an aiohttp handler, a list of rules, redis-py, nothing of ours.

Every message: decrypt, parse, one redis-py pipeline (told apart from repeats, counted as the product counts),
a scan of the rules, create_reply, encrypt. Generous to it: one crypto object for all messages (the
documentation makes one each), the text read once, one round trip, and a repeat is only dropped, not answered
alike.

``python -m bench.servers.wechatpy_way --redis unix:///… --rules 10000``
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from aiohttp import web
from redis.asyncio import Redis
from wechatpy.enterprise import create_reply, parse_message
from wechatpy.enterprise.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidSignatureException

from bench.servers.listening import serve
from bench.workload import WECOM, make_rules

_EVENT_MEMORY_S = 259_200
_COUNTERS_S = 9 * 86_400


def _application(redis: Redis, rules: list[tuple[str, str]]) -> web.Application:
    crypto = WeChatCrypto(WECOM.token, WECOM.encoding_aes_key, WECOM.receiver_id)

    async def callback(request: web.Request) -> web.Response:
        query = request.query
        try:
            xml = crypto.decrypt_message(
                await request.read(), query["msg_signature"], query["timestamp"], query["nonce"]
            )
        except InvalidSignatureException:
            return web.Response(status=403)
        message = parse_message(xml)
        if not await _take(redis, message):
            return web.Response()
        content = message.content  # reading the field costs more than comparing it with a rule
        for trigger, answer in rules:
            if trigger in content:
                reply = create_reply(answer, message).render()
                text = crypto.encrypt_message(reply, query["nonce"], query["timestamp"])
                return web.Response(text=text, content_type="application/xml")
        return web.Response()

    app = web.Application()
    app.router.add_post("/callback/app", callback)
    return app


async def _take(redis: Redis, message: Any) -> bool:
    """Remember the message and count it in one round trip; return whether it is new."""
    now_s = int(time.time())
    counters = f"day:{message.source}:{time.strftime('%Y-%m-%d')}"
    minute = f"rate:{message.source}:{now_s // 60}"
    async with redis.pipeline() as pipe:
        pipe.set(f"seen:{message.source}:{message.id}", 1, nx=True, ex=_EVENT_MEMORY_S)
        pipe.hincrby(counters, "messages", 1)
        pipe.hset(counters, "last_at", now_s)
        pipe.expire(counters, _COUNTERS_S)
        pipe.sadd("unwritten", counters)
        pipe.incr(minute)
        pipe.expire(minute, 60)
        new, *_ = await pipe.execute()
    return bool(new)


async def _main(redis_url: str, rule_count: int) -> None:
    rules = [(rule.triggers[0], rule.answers[0]) for rule in make_rules(rule_count)]
    async with Redis.from_url(redis_url) as redis:
        await serve(_application(redis, rules))


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--rules", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(_main(options.redis, options.rules))


if __name__ == "__main__":
    main()
