"""Access tokens as the vendors give, renew, supersede and withdraw them.

Source: WeCom, access_token; Official Account, access_token and error codes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import BotError

if TYPE_CHECKING:
    from bot.clock import Clock

_KEPT_TOKENS = 4096
_STABLE_RENEWAL_MS = 300_000
_FORCED_APART_MS = 30_000


class VendorError(BotError):
    """The vendor answers a call with this error code; `limit` names the documented limit it is over."""

    def __init__(self, errcode: int, errmsg: str, limit: str = "") -> None:
        """Carry the vendor's code and text, and the limit's name, "" for another reason."""
        self.errcode, self.errmsg, self.limit = errcode, errmsg, limit
        super().__init__(f"{errcode} {errmsg}")


@dataclass(slots=True)
class _Token:
    value: str
    channel: str
    family: str
    expires_at_ms: int
    dead_at_ms: int | None = None  # superseded: wrong from then on, although not expired
    withdrawn: bool = False


class TokenOffice:
    """Every token of every channel, also the dead ones, to tell expired from never issued."""

    def __init__(self, clock: Clock, *, lifetime_s: float, grace_s: float) -> None:
        """Issue tokens that live `lifetime_s`; a superseded one works `grace_s` longer."""
        self._clock = clock
        self._lifetime_ms = int(lifetime_s * 1000)
        self._grace_ms = int(grace_s * 1000)
        self._tokens: dict[str, _Token] = {}
        self._newest: dict[tuple[str, str], _Token] = {}
        self._forced_at_ms: dict[str, int] = {}

    def app_token(self, channel: str) -> tuple[str, int]:
        """Return WeCom's token and the seconds it has left: the same one while it lives."""
        token = self._living(channel, "app", margin_ms=0) or self._issue(channel, "app")
        return self._told(token)

    def plain_token(self, channel: str) -> tuple[str, int]:
        """Return a new token of an Official Account; the one before dies after the grace period."""
        before = self._newest.get((channel, "plain"))
        if before is not None:
            before.dead_at_ms = self._clock.now_ms() + self._grace_ms
        return self._told(self._issue(channel, "plain"))

    def stable_token(self, channel: str, *, force: bool) -> tuple[str, int]:
        """Return the same token until shortly before its end, or with `force` a new one at once.

        Raises:
            VendorError: 45011 when forced twice within 30 seconds.
        """
        now_ms = self._clock.now_ms()
        if force:
            if now_ms - self._forced_at_ms.get(channel, -_FORCED_APART_MS) < _FORCED_APART_MS:
                raise VendorError(45011, "api minute-quota reach limit, force_refresh too frequent")
            self._forced_at_ms[channel] = now_ms
            before = self._newest.get((channel, "stable"))
            if before is not None:
                before.dead_at_ms = now_ms
            return self._told(self._issue(channel, "stable"))
        margin_ms = min(_STABLE_RENEWAL_MS, self._lifetime_ms // 2)
        token = self._living(channel, "stable", margin_ms=margin_ms) or self._issue(channel, "stable")
        return self._told(token)

    def channel_of(self, value: str) -> str:
        """Return the channel that a token belongs to, whatever its state; "" for a foreign one."""
        token = self._tokens.get(value)
        return token.channel if token else ""

    def check(self, value: str) -> str:
        """Return the channel that a living token opens.

        Raises:
            VendorError: 41001 missing, 40014 not one of ours or withdrawn, 42001 expired, 40001
                superseded by a newer one.
        """
        if not value:
            raise VendorError(41001, "access_token missing")
        token = self._tokens.get(value)
        if token is None or token.withdrawn:
            raise VendorError(40014, "invalid access_token")
        now_ms = self._clock.now_ms()
        if now_ms >= token.expires_at_ms:
            raise VendorError(42001, "access_token expired")
        if token.dead_at_ms is not None and now_ms >= token.dead_at_ms:
            raise VendorError(40001, "invalid credential, access_token is invalid or not latest")
        return token.channel

    def withdraw(self, channel: str) -> int:
        """Make every token of a channel invalid before its time; return how many there were."""
        living = [
            token for token in self._tokens.values() if token.channel == channel and not token.withdrawn
        ]
        for token in living:
            token.withdrawn = True
        return len(living)

    def expire(self, channel: str) -> int:
        """Make every token of a channel expire now; return how many there were."""
        now_ms = self._clock.now_ms()
        living = [
            token
            for token in self._tokens.values()
            if token.channel == channel and token.expires_at_ms > now_ms
        ]
        for token in living:
            token.expires_at_ms = now_ms
        return len(living)

    def _living(self, channel: str, family: str, *, margin_ms: int) -> _Token | None:
        token = self._newest.get((channel, family))
        if token is None or token.withdrawn or token.value not in self._tokens:
            return None
        return token if self._clock.now_ms() < token.expires_at_ms - margin_ms else None

    def _issue(self, channel: str, family: str) -> _Token:
        expires_at_ms = self._clock.now_ms() + self._lifetime_ms
        token = _Token(secrets.token_urlsafe(120), channel, family, expires_at_ms)
        self._tokens[token.value] = token
        self._newest[channel, family] = token
        if len(self._tokens) > _KEPT_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        return token

    def _told(self, token: _Token) -> tuple[str, int]:
        return token.value, max(0, (token.expires_at_ms - self._clock.now_ms()) // 1000)
