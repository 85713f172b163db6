"""What can go wrong by name, the same for the chat page's panel, for scenarios and for ``--faults``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bot.config.values import did_you_mean
from bot.errors import RefusedError
from bot.sandbox.faults import CALLBACK, POLL, Fault

if TYPE_CHECKING:
    from bot.sandbox.vendor import Sandbox

_SLOW_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Mishap:
    """One thing that goes wrong.

    Attributes:
        about: What happens, in plain words.
        fault: Fields of the `faults.Fault` that it is; empty where it is done at once by `Sandbox` itself.
        kinds: Kinds of channels that it can happen on.
        mode: Only in this mode, "" for any.
    """

    about: str
    fault: Mapping[str, Any] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset({"wecom_app", "wechat_oa", "wecom_aibot"})
    mode: str = ""


_WITH_TOKENS: Final = frozenset({"wecom_app", "wechat_oa"})
_WITH_API: Final = frozenset({"wecom_app", "wechat_oa", "wecom_robot", "wecom_aibot"})
_BOT: Final = frozenset({"wecom_aibot"})

MISHAPS: Final[Mapping[str, Mishap]] = {
    "callback_lost": Mishap("the next callback never arrives", {"endpoint": CALLBACK, "lost": True}),
    "callback_doubled": Mishap("the next callback arrives twice", {"endpoint": CALLBACK, "doubled": True}),
    "callback_delayed": Mishap("the next callback comes late", {"endpoint": CALLBACK, "delay_s": _SLOW_S}),
    "callback_reordered": Mishap(
        "the callback after the next arrives first", {"endpoint": CALLBACK, "reordered": True}
    ),
    "poll_lost": Mishap(
        "the next question for a stream never arrives", {"endpoint": POLL, "lost": True}, _BOT, "callback"
    ),
    "poll_doubled": Mishap(
        "the next question for a stream arrives twice", {"endpoint": POLL, "doubled": True}, _BOT, "callback"
    ),
    "api_slow": Mishap("the next call of the API is answered late", {"delay_s": _SLOW_S}, _WITH_API),
    "api_timeout": Mishap("the next call of the API is never answered", {"hang": True}, _WITH_API),
    "api_5xx": Mishap(
        "the next call of the API is answered with status 503", {"http_status": 503}, _WITH_API
    ),
    "api_broken_json": Mishap(
        "the next call of the API is answered with half a JSON object", {"broken_json": True}, _WITH_API
    ),
    "api_busy": Mishap("the next call of the API is answered with errcode -1", {"errcode": -1}, _WITH_API),
    "api_answer_lost": Mishap(
        "the next call of the API is carried out, its answer is lost",
        {"drop": True, "acted": True},
        _WITH_API,
    ),
    "token_revoked": Mishap("every access token is withdrawn at once", kinds=_WITH_TOKENS),
    "token_expired": Mishap("every access token expires at once", kinds=_WITH_TOKENS),
    "kick": Mishap("another client takes the long connection over", kinds=_BOT, mode="long_connection"),
    "close": Mishap("the server closes the long connection", kinds=_BOT, mode="long_connection"),
    "silence": Mishap(
        "the server of the long connection says nothing more", kinds=_BOT, mode="long_connection"
    ),
}
"""Everything that can go wrong on demand."""


def known_mishap(name: str) -> Mishap:
    """Return a mishap by name.

    Raises:
        RefusedError: there is none of that name; it names the nearest.
    """
    mishap = MISHAPS.get(name)
    if mishap is None:
        raise RefusedError(f"no fault is called {name!r}: {did_you_mean(name, MISHAPS)}")
    return mishap


async def let_happen(
    sandbox: Sandbox, channel: str, name: str, *, times: int = 1, delay_s: float | None = None
) -> None:
    """Let a mishap happen on a channel, now or to the next `times` calls or callbacks.

    Raises:
        RefusedError: no such mishap or channel, or it cannot happen there.
    """
    mishap = known_mishap(name)
    where = sandbox.room(channel).channel
    if where.kind not in mishap.kinds or mishap.mode not in {"", where.mode}:
        raise RefusedError(f"{name} cannot happen on {channel} ({where.kind}, {where.mode})")
    if mishap.fault:
        more = {} if delay_s is None else {"delay_s": delay_s}
        sandbox.faults.add(Fault(**{"channel": channel, "times": times, **mishap.fault, **more}))
    elif name == "token_revoked":
        sandbox.tokens.withdraw(channel)
    elif name == "token_expired":
        sandbox.tokens.expire(channel)
    elif not await _cut(sandbox, channel, name):
        raise RefusedError(f"{name}: the bot of {channel} has no connection now")


async def _cut(sandbox: Sandbox, channel: str, name: str) -> bool:
    """Harm the long connection of a bot; return whether there was one."""
    connections = sandbox.connections
    if name == "silence":
        return connections.silence(channel)
    return await (connections.kick(channel) if name == "kick" else connections.close(channel))
