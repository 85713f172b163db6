"""What the sandbox must know of one configured channel, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bot.config.models import WecomAibotChannel, WecomAppChannel, WecomRobotChannel

if TYPE_CHECKING:
    from bot.config import Channel

Kind = Literal["wecom_app", "wecom_aibot", "wecom_robot", "wechat_oa"]
Mode = Literal["plain", "compatible", "encrypted", "callback", "long_connection"]

BOT_NAME = "活群"
"""What people type behind the @ to mention an AI bot."""


@dataclass(frozen=True, slots=True)
class SandboxChannel:
    """One channel whose vendor the sandbox plays.

    Attributes:
        name: The channel's name, the last part of its callback address.
        kind: Which vendor product it is.
        receiver_id: Trailing id of the encrypted layout: the corp id (WeCom) or app id (Official Account);
            empty for an AI bot.
        account_id: What ToUserName says: the corp id, or the account's original id (``gh_…``); of an AI bot
            its aibotid.
        token: What signs callbacks.
        encoding_aes_key: What encrypts callbacks, 43 characters; empty only in plain mode and where there
            are no callbacks.
        secret: What fetches access tokens; of an AI bot on a long connection what subscribes, of a robot
            the key of its webhook address.
        agent_id: The app's number; 0 elsewhere.
        mode: Security mode of an Official Account, connection mode of an AI bot; a WeCom app always
            encrypts.
        bot_name: What stands behind the @ in a group's message to an AI bot.
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
    bot_name: str = BOT_NAME

    @classmethod
    def from_config(cls, channel: Channel) -> SandboxChannel:
        """Return the sandbox's side of one configured channel."""
        if isinstance(channel, WecomRobotChannel):
            key = channel.key.get_secret_value()
            return cls(channel.name, "wecom_robot", "", "", "", "", key)
        token = channel.token.get_secret_value()
        key = channel.encoding_aes_key.get_secret_value()
        secret = channel.secret.get_secret_value()
        if isinstance(channel, WecomAppChannel):
            corp_id = channel.corp_id
            return cls(channel.name, "wecom_app", corp_id, corp_id, token, key, secret, channel.agent_id)
        if isinstance(channel, WecomAibotChannel):
            bot_id = channel.bot_id or f"aib-{channel.name}"
            return cls(channel.name, "wecom_aibot", "", bot_id, token, key, secret, mode=channel.mode)
        account_id = channel.original_id or f"gh_{channel.name}"
        return cls(
            channel.name, "wechat_oa", channel.app_id, account_id, token, key, secret, mode=channel.mode
        )

    @property
    def has_groups(self) -> bool:
        """Whether the vendor knows groups at all on this kind of channel."""
        return self.kind != "wechat_oa"

    @property
    def hears_groups(self) -> bool:
        """Whether a message of a group can reach the bot: where it can be mentioned."""
        return self.kind == "wecom_aibot"
