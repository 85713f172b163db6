"""Our own callback address, asked as the platform asks it when an administrator saves it.

Source: WeCom, callback security, URL verification (the echo alone, within one second); WeChat, callback URL
and security, verification.
"""

from __future__ import annotations

import secrets
from urllib.parse import quote

from bot.config import Channel, WechatOaChannel, WecomAibotChannel, WecomAppChannel
from bot.doctor.findings import Finding, find
from bot.doctor.probe import Answer, Prober
from bot.platforms.crypto import CallbackCipher, sign

_PATIENCE_S = 1.0


def is_called_back(channel: Channel) -> bool:
    """Whether the platform calls this channel's address."""
    match channel:
        case WecomAppChannel() | WechatOaChannel():
            return True
        case WecomAibotChannel():
            return channel.mode == "callback"
        case _:
            return False


async def shake_hands(prober: Prober, channel: Channel, base: str, now_s: int) -> Finding:
    """Return what came of testing ``<base>/callback/<channel>``."""
    subject = f"channel {channel.name}"
    echo = str(secrets.randbelow(10**18)).rjust(18, "1")
    url = f"{base.rstrip('/')}/callback/{quote(channel.name, safe='')}"
    answer = await prober.call("GET", url, _query(channel, echo, now_s))
    code = _judge(answer, echo)
    return find(subject, code, _detail(answer, url))


def _query(channel: Channel, echo: str, now_s: int) -> dict[str, str]:
    timestamp, nonce = str(now_s), str(secrets.randbelow(10**10))
    match channel:
        case WechatOaChannel():
            token = channel.token.get_secret_value()
            signature = sign(token.encode(), timestamp.encode(), nonce.encode()).decode()
            return {"signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": echo}
        case WecomAppChannel():
            receiver_id = channel.corp_id
        case WecomAibotChannel():
            receiver_id = ""  # WeCom, receiveid by kind of receiver: empty for a company's own AI bot
        case _:
            raise ValueError(f"{channel.kind} is not called back")
    cipher = CallbackCipher(
        channel.token.get_secret_value(), channel.encoding_aes_key.get_secret_value(), receiver_id
    )
    encrypted = cipher.encrypt(echo.encode())
    signature = cipher.sign(timestamp.encode(), nonce.encode(), encrypted).decode()
    return {
        "msg_signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": encrypted.decode(),
    }  # fmt: skip


def _judge(answer: Answer, echo: str) -> str:
    if answer.problem:
        return "callback_unreachable"
    if 300 <= answer.status < 400:
        return "callback_redirects"
    if answer.content_type == "text/html" or answer.body.lstrip()[:1] == b"<":
        return "callback_answers_page"
    refusals = {404: "callback_not_found", 403: "callback_signature", 400: "callback_key"}
    if answer.status in refusals:
        meant_for_another = answer.status == 403 and b"receiver" in answer.body
        return "callback_key" if meant_for_another else refusals[answer.status]
    if answer.status != 200:
        return "callback_failed"
    if answer.body != echo.encode():
        return "callback_altered"
    return "callback_slow" if answer.elapsed_s > _PATIENCE_S else "callback_answers"


def _detail(answer: Answer, url: str) -> str:
    where = url
    if answer.problem:
        return f"{where}: {answer.problem}"
    return where if answer.status == 200 else f"{where}: HTTP {answer.status}"
