"""What an AI bot calls over HTTP: its one answer to a response_url, and the bytes people sent it.

Source: WeCom, AI bot, replies in URL mode and incoming JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.sandbox.bot_answers import TO_RESPONSE_URL, BotAnswerError, read_answer
from bot.sandbox.tokens import VendorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.vendor import Sandbox


def room_of_code(sandbox: Sandbox, code: str) -> str:
    """Return the channel whose bot was given a response_code, "" for none."""
    return next((name for name, desk in sandbox.desks.items() if code and desk.has_address(code)), "")


def answer_response_url(sandbox: Sandbox, channel: str, code: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Take the one late answer to a message.

    Raises:
        VendorError: 40058: no such code, used already, older than an hour, or an answer of the wrong shape
            (the vendor's own codes for these are not published).
    """
    if not channel:
        raise VendorError(40058, "invalid response_code")
    desk = sandbox.desks[channel]
    try:
        # The answer is read first: one that the vendor cannot use does not use the address up.
        answer = read_answer(body, TO_RESPONSE_URL)
        talk = desk.spend_address(code)
        desk.show(answer, talk, "response_url")
    except BotAnswerError as error:
        raise VendorError(40058, str(error), error.limit) from error
    sandbox.room(channel).outcomes["response_url_received"] += 1
    return {"errcode": 0, "errmsg": "ok"}


def media_response(sandbox: Sandbox, name: str) -> web.Response:
    """Return what a person sent, encrypted, as long as its address is good (5 minutes)."""
    encrypted = sandbox.media.fetch(name, sandbox.clock.now_ms())
    if encrypted is None:
        return web.Response(status=403, text="the address is over")
    return web.Response(body=encrypted, content_type="application/octet-stream")
