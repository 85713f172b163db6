"""The AI bot's long connection: held by somebody, or, when nobody holds it, tried for a moment.

A second subscription would kick the first, so a connection that a running process holds is believed, not
tried.

Source: WeCom, AI bot, long connection.
"""

from __future__ import annotations

import asyncio

import aiohttp
import orjson

from bot.config import WecomAibotChannel
from bot.doctor.findings import Finding, find

_PATIENCE_S = 10.0


async def try_connection(session: aiohttp.ClientSession, channel: WecomAibotChannel) -> Finding:
    """Subscribe, read the answer, and leave."""
    subject = f"channel {channel.name}"
    body = {"bot_id": channel.bot_id, "secret": channel.secret.get_secret_value()}
    frame = {"cmd": "aibot_subscribe", "headers": {"req_id": "huoqun-doctor"}, "body": body}
    try:
        async with (
            asyncio.timeout(_PATIENCE_S),
            session.ws_connect(channel.ws_base) as connection,
        ):
            await connection.send_str(orjson.dumps(frame).decode())
            while True:
                said = orjson.loads((await connection.receive_str()).encode())
                if isinstance(said, dict) and "errcode" in said:
                    break
    except (TimeoutError, aiohttp.ClientError, OSError, TypeError, ValueError) as error:
        return find(subject, "connection_unreachable", type(error).__name__)
    errcode = said.get("errcode")
    if errcode == 0:
        return find(subject, "connection_works")
    return find(subject, "connection_refused", f"errcode {errcode}")
