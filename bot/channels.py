"""Turns configured channels into platforms, API clients and what delivery must know of them."""

from __future__ import annotations

from collections.abc import Iterable

import aiohttp

from bot.clock import Clock
from bot.config import Channel, WecomAppChannel
from bot.delivery.client import ActiveClient
from bot.delivery.compose import SendingChannel
from bot.delivery.wechat import WechatClient
from bot.delivery.wecom import WecomClient
from bot.platforms.protocol import Platform
from bot.platforms.wechat.official_account import OfficialAccount
from bot.platforms.wecom.app import WecomApp
from bot.storage.redis.tokens import TokenStore


def open_platforms(channels: Iterable[Channel]) -> dict[str, Platform]:
    """Return the platform of every channel, by the channel's name."""
    return {channel.name: _platform(channel) for channel in channels}


def _platform(channel: Channel) -> Platform:
    token = channel.token.get_secret_value()
    encoding_aes_key = channel.encoding_aes_key.get_secret_value()
    if isinstance(channel, WecomAppChannel):
        return WecomApp(
            channel=channel.name,
            corp_id=channel.corp_id,
            agent_id=channel.agent_id,
            token=token,
            encoding_aes_key=encoding_aes_key,
        )
    return OfficialAccount(
        channel=channel.name,
        app_id=channel.app_id,
        token=token,
        encoding_aes_key=encoding_aes_key,
        mode=channel.mode,
        original_id=channel.original_id,
    )


def open_clients(
    channels: Iterable[Channel], session: aiohttp.ClientSession, tokens: TokenStore, clock: Clock
) -> dict[str, ActiveClient]:
    """Return the API client of every channel that has a secret, by the channel's name."""
    return {
        channel.name: _client(channel, session, tokens, clock)
        for channel in channels
        if channel.secret.get_secret_value()
    }


def _client(
    channel: Channel, session: aiohttp.ClientSession, tokens: TokenStore, clock: Clock
) -> ActiveClient:
    secret = channel.secret.get_secret_value()
    if isinstance(channel, WecomAppChannel):
        return WecomClient(
            session, tokens, clock,
            channel=channel.name, corp_id=channel.corp_id, agent_id=channel.agent_id, secret=secret,
            api_base=channel.api_base,
        )  # fmt: skip
    return WechatClient(
        session, tokens, clock,
        channel=channel.name, app_id=channel.app_id, secret=secret, api_base=channel.api_base,
    )  # fmt: skip


def sending_channels(channels: Iterable[Channel]) -> dict[str, SendingChannel]:
    """Return what delivery must know of every channel, by its name."""
    return {
        channel.name: SendingChannel(kind=channel.kind, has_secret=bool(channel.secret.get_secret_value()))
        for channel in channels
    }
