"""What the platforms say to our credentials: tokens, permissions, trusted addresses, keys; and their clocks.

Nothing reaches anybody: permission to send is asked with a receiver that cannot exist, which a platform
answers with "no such receiver" only after it has checked everything else.

Source: WeCom, access_token, rate limits, error codes; group robot webhook; Official Account, access_token and
error codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.config import Channel, WechatOaChannel, WecomAppChannel, WecomRobotChannel
from bot.delivery.errcodes import rule_of
from bot.doctor.findings import Finding, Level, find
from bot.doctor.probe import Answer, Prober

NOBODY = "huoqun_doctor_nobody"
_SKEW_S = 30
_NO_SUCH_RECEIVER = {"wecom_app": frozenset({81013, 60111}), "wechat_oa": frozenset({40003})}
_UNTRUSTED = frozenset({60020, 40164})
_KNOWN_KEY = frozenset({0, 40008, 40058, 44004, 45009})  # refused for what was sent, not for the key
_ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F]*:[0-9a-fA-F:]{2,}")


async def examine_channel(prober: Prober, channel: Channel) -> list[Finding]:
    """Return what the platform says to one channel's credentials."""
    match channel:
        case WecomAppChannel() | WechatOaChannel():
            return await _examine_account(prober, channel)
        case WecomRobotChannel():
            return await _examine_robot(prober, channel)
        case _:
            return []


async def _examine_account(prober: Prober, channel: WecomAppChannel | WechatOaChannel) -> list[Finding]:
    subject = f"channel {channel.name}"
    if not channel.secret.get_secret_value():
        return [find(subject, "no_secret")]
    endpoint, answer = await _fetch_token(prober, channel)
    findings = _reached(subject, answer)
    body = answer.json
    if body is None:
        return findings
    token = body.get("access_token")
    if not isinstance(token, str) or not token:
        return [*findings, _refusal(subject, channel.kind, endpoint, body)]
    findings.append(find(subject, "token_granted"))
    findings += await _may_send(prober, channel, token)
    return findings


async def _fetch_token(prober: Prober, channel: WecomAppChannel | WechatOaChannel) -> tuple[str, Answer]:
    secret = channel.secret.get_secret_value()
    if isinstance(channel, WecomAppChannel):
        endpoint = "cgi-bin/gettoken"
        query = {"corpid": channel.corp_id, "corpsecret": secret}
        return endpoint, await prober.call("GET", f"{channel.api_base}/{endpoint}", query)
    endpoint = "cgi-bin/stable_token"  # gives the same token as the running server has, and leaves it alive
    body = {"grant_type": "client_credential", "appid": channel.app_id, "secret": secret}
    return endpoint, await prober.call("POST", f"{channel.api_base}/{endpoint}", {}, body)


async def _may_send(prober: Prober, channel: WecomAppChannel | WechatOaChannel, token: str) -> list[Finding]:
    subject = f"channel {channel.name}"
    body: dict[str, Any] = {"touser": NOBODY, "msgtype": "text", "text": {"content": "doctor"}}
    if isinstance(channel, WecomAppChannel):
        endpoint = "cgi-bin/message/send"
        body["agentid"] = channel.agent_id
    else:
        endpoint = "cgi-bin/message/custom/send"
    answer = await prober.call("POST", f"{channel.api_base}/{endpoint}", {"access_token": token}, body)
    said = answer.json
    if answer.problem or said is None:
        return _reached(subject, answer)
    errcode = said.get("errcode", 0)
    if errcode == 0 or errcode in _NO_SUCH_RECEIVER[channel.kind]:
        return [find(subject, "may_send")]
    return [_refusal(subject, channel.kind, endpoint, said)]


async def _examine_robot(prober: Prober, channel: WecomRobotChannel) -> list[Finding]:
    subject = f"channel {channel.name}"
    url = f"{channel.api_base}/cgi-bin/webhook/send"
    # No message has this type, so a platform that knows the key refuses the type, and nobody reads anything.
    answer = await prober.call(
        "POST", url, {"key": channel.key.get_secret_value()}, {"msgtype": "huoqun_doctor"}
    )
    findings = _reached(subject, answer)
    said = answer.json
    if said is None:
        return findings
    known = said.get("errcode", 0) in _KNOWN_KEY
    detail = "" if known else f"errcode {said.get('errcode')}"
    return [*findings, find(subject, "key_accepted" if known else "wrong_key", detail)]


def _reached(subject: str, answer: Answer) -> list[Finding]:
    """Return whether the platform was reached at all, and what its clock says."""
    if answer.problem:
        return [find(subject, "platform_unreachable", answer.problem)]
    if answer.json is None:
        return [find(subject, "platform_no_json", f"HTTP {answer.status}")]
    if answer.skew_s is None:
        return []
    is_off = abs(answer.skew_s) > _SKEW_S
    return [find(subject, "clock_skew", f"{answer.skew_s:+d} s") if is_off else find(subject, "clock_right")]


def _refusal(subject: str, kind: str, endpoint: str, said: Mapping[str, Any]) -> Finding:
    """Return what an error code means; the vendor's text is used for the address it names, nothing else."""
    errcode = said.get("errcode", 0)
    if not isinstance(errcode, int):
        return find(subject, "platform_no_json")
    if errcode in _UNTRUSTED:
        address = _ADDRESS.search(str(said.get("errmsg", "")))
        return find(subject, "trusted_ip", address[0] if address else f"errcode {errcode}")
    text = rule_of(kind, endpoint, errcode).text
    return Finding(subject, f"errcode_{errcode}", Level.WRONG, text, endpoint)
