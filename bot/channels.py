"""Turns configured channels into platforms, API clients and what delivery must know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import aiohttp

from bot.clock import Clock
from bot.config import Channel, WechatOaChannel, WecomAibotChannel, WecomAppChannel, WecomRobotChannel
from bot.delivery.client import ActiveClient
from bot.delivery.media import MediaShelf
from bot.delivery.response_url import ResponseUrlClient
from bot.delivery.routes import ChannelAbilities, channel_abilities
from bot.delivery.wechat import WechatClient
from bot.delivery.wecom import WecomClient
from bot.delivery.wecom_robot import WecomRobotClient
from bot.model import Event
from bot.platforms.protocol import Platform, StreamTexts
from bot.platforms.wechat.official_account import OfficialAccount
from bot.platforms.wecom.aibot import WecomAibot
from bot.platforms.wecom.aibot_connection import AibotConnection
from bot.platforms.wecom.app import WecomApp
from bot.storage.redis.streams import AddressUses
from bot.storage.redis.tokens import TokenStore

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


class StreamVoice(NamedTuple):
    """How a channel's streams are named, and what they say of themselves; see `Streams` of platforms."""

    name: Callable[[Event], str]
    texts: StreamTexts


def open_platforms(
    channels: Iterable[Channel], voice_of: Callable[[str], StreamVoice]
) -> dict[str, Platform]:
    """Return the platform of every channel that is called back, by the channel's name.

    `voice_of` is asked, by name, about channels whose answers are polled for.
    """
    return {
        channel.name: platform
        for channel in channels
        if (platform := _platform(channel, voice_of)) is not None
    }


def _platform(channel: Channel, voice_of: Callable[[str], StreamVoice]) -> Platform | None:
    match channel:
        case WecomAppChannel():
            return WecomApp(
                channel=channel.name,
                corp_id=channel.corp_id,
                agent_id=channel.agent_id,
                token=channel.token.get_secret_value(),
                encoding_aes_key=channel.encoding_aes_key.get_secret_value(),
            )
        case WechatOaChannel():
            return OfficialAccount(
                channel=channel.name,
                app_id=channel.app_id,
                token=channel.token.get_secret_value(),
                encoding_aes_key=channel.encoding_aes_key.get_secret_value(),
                mode=channel.mode,
                original_id=channel.original_id,
            )
        case WecomAibotChannel(mode="long_connection"):
            return AibotConnection(channel.name)
        case WecomAibotChannel(mode="callback"):
            voice = voice_of(channel.name)
            return WecomAibot(
                channel=channel.name,
                token=channel.token.get_secret_value(),
                encoding_aes_key=channel.encoding_aes_key.get_secret_value(),
                stream_name=voice.name,
                texts=voice.texts,
            )
        case _:
            return None


def open_clients(
    channels: Iterable[Channel],
    session: aiohttp.ClientSession,
    tokens: TokenStore,
    clock: Clock,
    uses: AddressUses,
    shelf: MediaShelf,
) -> dict[str, ActiveClient]:
    """Return the API client of every channel that can send by calls of ours, by the channel's name."""
    return {
        channel.name: client
        for channel in channels
        if (client := _client(channel, session, tokens, clock, uses, shelf)) is not None
    }


def _client(
    channel: Channel,
    session: aiohttp.ClientSession,
    tokens: TokenStore,
    clock: Clock,
    uses: AddressUses,
    shelf: MediaShelf,
) -> ActiveClient | None:
    if not abilities_of_channel(channel).can_send:
        return None
    match channel:
        case WecomAppChannel():
            return WecomClient(
                session, tokens, clock,
                channel=channel.name, corp_id=channel.corp_id, agent_id=channel.agent_id,
                secret=channel.secret.get_secret_value(), api_base=channel.api_base,
                shelf=shelf,
            )  # fmt: skip
        case WechatOaChannel():
            return WechatClient(
                session, tokens, clock,
                channel=channel.name, app_id=channel.app_id,
                secret=channel.secret.get_secret_value(), api_base=channel.api_base,
                shelf=shelf,
            )  # fmt: skip
        case WecomRobotChannel():
            return WecomRobotClient(
                session, channel=channel.name, key=channel.key.get_secret_value(), api_base=channel.api_base,
                shelf=shelf,
            )  # fmt: skip
        case WecomAibotChannel(mode="callback"):
            return ResponseUrlClient(session, uses, channel=channel.name, api_base=channel.api_base)
        case _:
            return None


def abilities_of(channels: Iterable[Channel]) -> dict[str, ChannelAbilities]:
    """Return what every channel can do, by its name."""
    return {channel.name: abilities_of_channel(channel) for channel in channels}


def abilities_of_channel(channel: Channel) -> ChannelAbilities:
    """Return what one channel can do, with the limits that its configuration sets."""
    match channel:
        case WecomAibotChannel():
            can_send = True  # what it answers with comes with each message
        case WecomRobotChannel():
            can_send = True  # the key is there, or the configuration is refused
        case _:
            can_send = bool(channel.secret.get_secret_value())
    counts = channel.limits
    limits = {_MINUTE_MS: counts.per_minute, _HOUR_MS: counts.per_hour, _DAY_MS: counts.per_day}
    return channel_abilities(
        channel.kind,
        long_connection=isinstance(channel, WecomAibotChannel) and channel.mode == "long_connection",
        can_send=can_send,
        limits={length_ms: most for length_ms, most in limits.items() if most},
    )
