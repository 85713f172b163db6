"""The configuration file as typed objects; contract section 3 describes it.

`values` brings in environment and files, `models` checks each value, `checks` what must fit together,
`faults` says all that is wrong, `load` puts them in order.
"""

from __future__ import annotations

from bot.config.load import load_config, place_in_file, resolve_communities
from bot.config.models import (
    Channel,
    CheckIn,
    CommunitySection,
    Config,
    Decency,
    Games,
    GameTerms,
    GroupRef,
    Limits,
    Locale,
    MakeUp,
    Sandbox,
    Server,
    Storage,
    StoreUrl,
    WechatOaChannel,
    WecomAibotChannel,
    WecomAppChannel,
    WecomRobotChannel,
    Welcome,
)

__all__ = [
    "Channel",
    "CheckIn",
    "CommunitySection",
    "Config",
    "Decency",
    "GameTerms",
    "Games",
    "GroupRef",
    "Limits",
    "Locale",
    "MakeUp",
    "Sandbox",
    "Server",
    "Storage",
    "StoreUrl",
    "WechatOaChannel",
    "WecomAibotChannel",
    "WecomAppChannel",
    "WecomRobotChannel",
    "Welcome",
    "load_config",
    "place_in_file",
    "resolve_communities",
]
