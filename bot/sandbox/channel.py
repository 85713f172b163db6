"""What the sandbox must know of one configured channel, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bot.errors import RefusedError

if TYPE_CHECKING:
    from bot.config import Channel

Kind = Literal["wecom_app", "wechat_oa"]
Mode = Literal["plain", "compatible", "encrypted"]


@dataclass(frozen=True, slots=True)
class SandboxChannel:
    """One channel whose vendor the sandbox plays.

    Attributes:
        name: The channel's name, the last part of its callback address.
        kind: Which vendor product it is.
        receiver_id: Trailing id of the encrypted layout: the corp id (WeCom) or app id (Official Account).
        account_id: What ToUserName says: the corp id, or the account's original id (``gh_…``).
        agent_id: The app's number; 0 on an Official Account.
        secret: What fetches access tokens.
        token: What signs callbacks.
        encoding_aes_key: What encrypts callbacks, 43 characters; empty only in plain mode.
        mode: Security mode of an Official Account; a WeCom app always encrypts.
    """

    name: str
    kind: Kind
    receiver_id: str
    account_id: str
    token: str = field(repr=False)
    encoding_aes_key: str = field(repr=False)
    secret: str = field(default="", repr=False)
    agent_id: int = 0
    mode: Mode = "encrypted"

    @classmethod
    def from_config(cls, channel: Channel) -> SandboxChannel:
        """Return the sandbox's side of one configured channel."""
        if channel.kind not in ("wecom_app", "wechat_oa"):
            raise RefusedError(f"the sandbox does not play {channel.kind}")
        token = channel.token.get_secret_value()
        key = channel.encoding_aes_key.get_secret_value()
        secret = channel.secret.get_secret_value()
        if channel.kind == "wecom_app":
            return cls(
                channel.name,
                "wecom_app",
                channel.corp_id,
                channel.corp_id,
                token,
                key,
                secret,
                channel.agent_id,
            )
        account_id = channel.original_id or f"gh_{channel.name}"
        return cls(
            channel.name, "wechat_oa", channel.app_id, account_id, token, key, secret, mode=channel.mode
        )
