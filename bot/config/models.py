"""The configuration as typed, frozen objects; each field checks itself and never tells its value.

Values arrive as text (see `bot.yaml_tree`) and become what the field's type says.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    SecretStr,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bot.config.values import did_you_mean
from bot.model import LONGEST_ROUND_S, SHORTEST_ROUND_S

REDIS_SCHEMES: Final = ("unix", "redis", "rediss", "redis+cluster", "redis+sentinel")
DATABASE_SCHEMES: Final = ("sqlite+aiosqlite", "postgresql+asyncpg")
CHANNEL_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")
_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?"
WRONG_VALUE: Final = "wrong_value"
"""Type of the validation errors whose message is ours; their context may hold a `cure`."""


def wrong(problem: str, cure: str = "") -> PydanticCustomError:
    """Return the error of a field that refuses its value; neither text may quote the value."""
    return PydanticCustomError(WRONG_VALUE, "{problem}", {"problem": problem, "cure": cure})


def _matching(pattern: str | re.Pattern[str], problem: str, cure: str = "") -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise wrong(problem, cure)
        return value

    return AfterValidator(check)


def _secret_matching(pattern: str, problem: str, cure: str = "") -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: SecretStr) -> SecretStr:
        if compiled.fullmatch(value.get_secret_value()) is None:
            raise wrong(problem, cure)
        return value

    return AfterValidator(check)


# ---------------------------------------------------------------- kinds of values


@dataclass(frozen=True, slots=True, repr=False)
class StoreUrl:
    """Where a store is: ``embedded``, or an address that may hold a password.

    `str` and `repr` leave user, password and options out; `get_secret_value` gives the whole.
    """

    url: str

    @property
    def embedded(self) -> bool:
        """Whether the store is the one that comes with the product."""
        return self.url == "embedded"

    def get_secret_value(self) -> str:
        """Return the whole address, password included."""
        return self.url

    def __str__(self) -> str:
        """Return the address without user, password and options."""
        scheme, mark, rest = self.url.partition("://")
        if not mark:
            return self.url if self.embedded else "***"
        place, *options = re.split(r"[?#]", rest, maxsplit=1)
        if options and "@" in options[0]:  # a password with ? or #, not told apart from an option with @
            return f"{scheme}://***"
        user, at, place = place.rpartition("@")
        return f"{scheme}://{'***@' if user or at else ''}{place}"

    def __repr__(self) -> str:
        return f"StoreUrl('{self}')"


def _store_url(schemes: tuple[str, ...]) -> BeforeValidator:
    """Return a validator for ``embedded`` or an address with one of `schemes`."""

    def check(value: object) -> StoreUrl:
        if isinstance(value, StoreUrl):
            return value
        if not isinstance(value, str):
            raise wrong("must be text")
        scheme, mark, rest = value.partition("://")
        if value != "embedded":
            if scheme not in schemes or not mark:
                starts = ", ".join(f"{scheme}://…" for scheme in schemes)
                raise wrong("is not the address of a store", f"valid: embedded, {starts}")
            _check_place(scheme, rest)
        return StoreUrl(value)

    return BeforeValidator(check)


def _check_place(scheme: str, rest: str) -> None:
    """Refuse an address whose host or path is not one, often a password that ends in the wrong place."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    hosts = authority.rpartition("@")[2]
    if scheme == "unix" or scheme.startswith("sqlite"):
        if hosts or re.match(r"/[^?#\s]", rest[len(authority) :]) is None:
            raise wrong("must name a file", f"write {scheme}:///path")
    elif re.fullmatch(rf"{_HOST}(?:,{_HOST})*", hosts) is None and (
        hosts or not scheme.startswith("postgres")
    ):
        cure = "write user:password@host:port, with %2F %3F %23 %40 for / ? # @ in a password"
        raise wrong("has no valid host and port after ://", cure)


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, absolute or upward path, directory
        cure = did_you_mean(name, available_timezones())
        if not cure.startswith("did"):
            cure = "write a name of the IANA list, such as Asia/Shanghai"
        raise wrong("is not a known time zone", cure) from None
    return name


def _check_day_start(value: object) -> object:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d", value) is None:
        raise wrong("must be a time of day from 00:00 to 23:59", 'write it as HH:MM, such as "04:00"')
    return time.fromisoformat(value)


def _check_host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*", value) is None:
            raise wrong("must be an IP address or a host name", "without scheme, port and brackets") from None
    return value


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and not parts.netloc.endswith(":")
        and port != 0
        and re.search(r"[\s?#\\]", value) is None
    )


def _check_api_base(value: str) -> str:
    if not _is_web_address(value) or urlsplit(value).path:
        raise wrong("must be scheme://host[:port]", "leave out path, user and options")
    return value


def _check_ws_base(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if (
        scheme not in {"ws", "wss"}
        or not mark
        or not _is_web_address(f"http://{rest}")
        or urlsplit(value).path
    ):
        raise wrong("must be ws(s)://host[:port]", "leave out path, user and options")
    return value


def _check_public_url(value: str) -> str:
    if value and not _is_web_address(value):
        raise wrong("must be empty or http(s)://host[:port][/path]", "leave out user and options")
    return value.rstrip("/")


def _not_empty_path(value: object) -> object:
    if value == "" or (isinstance(value, str) and "\0" in value):
        raise wrong("must be the path of a directory")
    return value


ChannelName = Annotated[str, _matching(CHANNEL_NAME, "must be 1 to 32 of the characters a-z, 0-9, _ and -")]
CommunityId = Annotated[
    str, _matching(r"[A-Za-z0-9_-]{1,64}", "must be 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")
]
MemberId = Annotated[
    str, _matching(r"[^:\s]+:\S+", "must be a member id", "write <channel>:<user_id>, such as app:ana")
]
Name = Annotated[str, _matching(r"(?s)(?=.*\S).{1,100}", "must be 1 to 100 characters")]
AccountId = Annotated[str, _matching(r"[^\s]{1,128}", "must be 1 to 128 characters without white space")]
ZoneName = Annotated[str, AfterValidator(_check_zone)]
Language = Literal["zh-CN", "en"]
ApiBase = Annotated[str, AfterValidator(_check_api_base)]
WsBase = Annotated[str, AfterValidator(_check_ws_base)]
Token = Annotated[
    SecretStr,
    # WeCom and WeChat, callback security: Token.
    _secret_matching(r"[A-Za-z0-9]{1,32}", "must be 1 to 32 letters and digits", "copy it from the platform"),
]
AibotToken = Annotated[
    SecretStr,
    _secret_matching(
        r"[A-Za-z0-9]{0,64}", "must be at most 64 letters and digits", "copy it from the platform"
    ),
]
EncodingAesKey = Annotated[
    SecretStr,
    # WeCom and WeChat, callback security: 43 characters that, with one `=`, are base64 of the 32 bytes
    # of an AES key. The platforms make letters and digits only; + and / decode as well.
    _secret_matching(
        r"(?:[A-Za-z0-9+/]{43})?",
        "must be 43 base64 characters, without =, that make 32 bytes",
        "copy EncodingAESKey from the platform",
    ),
]
Secret = Annotated[
    SecretStr,
    _secret_matching(r"[!-~]{0,256}", "must be at most 256 visible ASCII characters", "copy it again"),
]
RedisUrl = Annotated[InstanceOf[StoreUrl], _store_url(REDIS_SCHEMES), PlainSerializer(str)]
DatabaseUrl = Annotated[InstanceOf[StoreUrl], _store_url(DATABASE_SCHEMES), PlainSerializer(str)]
DataDir = Annotated[Path, BeforeValidator(_not_empty_path)]
Points = Annotated[int, Field(ge=0, le=1_000_000_000)]
Seconds = Annotated[int, Field(ge=1, le=31_622_400)]  # up to a leap year


class Section(BaseModel):
    """A part of the configuration: frozen, without unknown keys, silent about its input."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: object) -> object:
        """Treat a known key without a value as absent; keep unknown ones, so that they are refused."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


# ---------------------------------------------------------------- sections


class Server(Section):
    """Where and how we answer HTTP.

    Attributes:
        host: Address to listen on.
        port: TCP port; 0 lets the system choose.
        public_url: How the outside reaches us, without a slash at its end; empty where it is not known.
        workers: Processes that answer.
        soft_deadline_s: Seconds after which a late handler's request is acknowledged without its answer.
        max_body_bytes: Largest body of a callback.
        reply_memory_s: Seconds for which a repeated callback gets the same answer.
        event_memory_s: Seconds for which an event is known to have had its effects.
        member_rate_per_min: Messages per minute of one member that are answered.
        log_level: Least severity that is logged.
    """

    host: Annotated[str, AfterValidator(_check_host)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    public_url: Annotated[str, AfterValidator(_check_public_url)] = ""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    soft_deadline_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0
    max_body_bytes: Annotated[int, Field(ge=1, le=1_073_741_824)] = 1_048_576
    reply_memory_s: Seconds = 600
    event_memory_s: Seconds = 259_200
    member_rate_per_min: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Storage(Section):
    """Where state lives.

    Attributes:
        data_dir: Directory of the embedded stores; `load_config` makes it absolute.
        redis: Live state.
        database: History.
        shards: Parts the communities are spread over; fixed once there is data.
        appendfsync: When the embedded Redis writes its log to the disk.
    """

    data_dir: DataDir = Path("data")
    redis: RedisUrl = StoreUrl("embedded")
    database: DatabaseUrl = StoreUrl("embedded")
    shards: Annotated[int, Field(ge=1, le=1024)] = 64
    appendfsync: Literal["everysec", "always"] = "everysec"


class Locale(Section):
    """Language and IANA time zone of communities that name none."""

    language: Language = "zh-CN"
    time_zone: ZoneName = "Asia/Shanghai"


class Sandbox(Section):
    """The vendor in a box; `allow_remote` permits it on an address that others can reach."""

    enabled: bool = False
    allow_remote: bool = False


class Limits(Section):
    """Sends per receiver (of a robot: in all) that a platform takes; 0 leaves the documented number.

    Vendors change their limits without notice; this follows them without a new version.
    """

    per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    per_hour: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    per_day: Annotated[int, Field(ge=0, le=100_000_000)] = 0


class WecomAppChannel(Section):
    """A WeCom self-built application (企业微信自建应用). An empty `secret` means no active sends.

    Its own groups (应用群聊, appchat) are groups of this channel.
    """

    name: ChannelName
    kind: Literal["wecom_app"] = "wecom_app"
    corp_id: AccountId
    agent_id: Annotated[int, Field(ge=0, le=2_147_483_647)]
    secret: Secret
    token: Token
    encoding_aes_key: EncodingAesKey
    api_base: ApiBase = "https://qyapi.weixin.qq.com"
    limits: Limits = Limits()

    @field_validator("encoding_aes_key")
    @classmethod
    def _has_key(cls, key: SecretStr) -> SecretStr:
        return _not_empty(key)


class WecomAibotChannel(Section):
    """A WeCom AI bot (智能机器人), through a callback address or through a long connection of ours.

    Callback mode needs `token` and `encoding_aes_key`, the long connection `bot_id` and `secret`; the
    platform gives each mode its own.
    """

    name: ChannelName
    kind: Literal["wecom_aibot"] = "wecom_aibot"
    mode: Literal["callback", "long_connection"] = "callback"
    token: AibotToken = Field(default=SecretStr(""), validate_default=True)
    encoding_aes_key: EncodingAesKey = Field(default=SecretStr(""), validate_default=True)
    bot_id: Annotated[str, _matching(r"\S{0,128}", "must be without white space")] = Field(
        default="", validate_default=True
    )
    secret: Secret = Field(default=SecretStr(""), validate_default=True)
    api_base: ApiBase = "https://qyapi.weixin.qq.com"
    ws_base: WsBase = "wss://openws.work.weixin.qq.com"
    limits: Limits = Limits()

    @field_validator("token", "encoding_aes_key")
    @classmethod
    def _has_callback_secrets(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("mode", "long_connection") == "callback" and not value.get_secret_value():
            raise wrong(
                "must not be empty in callback mode",
                "copy it from the bot's page, or set mode: long_connection",
            )
        return value

    @field_validator("bot_id")
    @classmethod
    def _has_bot_id(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("mode", "callback") == "long_connection" and not value:
            raise wrong("must not be empty with a long connection", "copy Bot ID from the bot's page")
        return value

    @field_validator("secret")
    @classmethod
    def _has_secret(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("mode", "callback") == "long_connection" and not value.get_secret_value():
            raise wrong("must not be empty with a long connection", "copy Secret from the bot's page")
        return value


class WecomRobotChannel(Section):
    """A WeCom group robot (群机器人 / 消息推送): sends into one internal group, hears nothing.

    `key` is the part of its webhook address behind ``key=``, and is its only secret.
    """

    name: ChannelName
    kind: Literal["wecom_robot"] = "wecom_robot"
    key: Annotated[
        SecretStr,
        _secret_matching(
            r"[A-Za-z0-9_-]{1,128}",
            "must be 1 to 128 letters, digits, _ and -",
            "copy what follows key= in the robot's webhook address",
        ),
    ]
    api_base: ApiBase = "https://qyapi.weixin.qq.com"
    limits: Limits = Limits()


class WechatOaChannel(Section):
    """A WeChat Official Account (公众号). An empty `secret` means no active sends.

    `mode` is the security mode set on the platform; `encoding_aes_key` may be empty in plain mode only.
    `original_id` is the account's own id (gh_…), which the platform names as receiver.
    """

    name: ChannelName
    kind: Literal["wechat_oa"] = "wechat_oa"
    app_id: AccountId
    secret: Secret
    token: Token
    mode: Literal["encrypted", "compatible", "plain"] = "encrypted"
    encoding_aes_key: EncodingAesKey = Field(default=SecretStr(""), validate_default=True)
    original_id: Annotated[str, _matching(r"\S{0,128}", "must be without white space")] = ""
    api_base: ApiBase = "https://api.weixin.qq.com"
    limits: Limits = Limits()

    @field_validator("encoding_aes_key")
    @classmethod
    def _has_key_unless_plain(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        return key if info.data.get("mode", "plain") == "plain" else _not_empty(key)


def _not_empty(key: SecretStr) -> SecretStr:
    if not key.get_secret_value():
        raise wrong("must not be empty", "copy EncodingAESKey from the platform")
    return key


Channel = WecomAppChannel | WecomAibotChannel | WecomRobotChannel | WechatOaChannel
CHANNEL_KINDS: Final = ("wecom_app", "wecom_aibot", "wecom_robot", "wechat_oa")


class MakeUp(Section):
    """Make-up cards: cost in points, days back that can be made up (0: none), cards per month."""

    cost: Points = 50
    days_back: Annotated[int, Field(ge=0, le=366)] = 7
    per_month: Annotated[int, Field(ge=0, le=31)] = 3


class CheckIn(Section):
    """What a check-in is worth: points of each, bonus points per streak in days, make-up cards."""

    points: Points = 10
    milestones: Mapping[Annotated[int, Field(ge=1, le=36_600)], Points] = {3: 10, 7: 30, 30: 150}
    make_up: MakeUp = MakeUp()


def _check_span(value: str) -> str:
    times = re.fullmatch(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)", value)
    if times is None or times[1] == times[2]:
        raise wrong("must be two different times of day", 'write it as HH:MM-HH:MM, such as "22:00-08:00"')
    return value


class Decency(Section):
    """How much a community says unprompted; see `bot.model.DecencyRules`."""

    quiet_hours: tuple[Annotated[str, AfterValidator(_check_span)], ...] = ("22:00-08:00",)
    member_per_day: Annotated[int, Field(ge=0, le=10_000)] = 5
    group_per_day: Annotated[int, Field(ge=0, le=10_000)] = 10


GameName = Annotated[
    str, _matching(r"[a-z][a-z0-9_]{0,39}", "must be the name of a game", "such as red_packet")
]


def _read_setting(value: object) -> object:
    """Return a scalar of the file as what it looks like: every one of them arrives as text."""
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,15}", value):
        return int(value)
    return value


GameSetting = Annotated[
    Annotated[bool, Strict()] | Annotated[int, Strict()] | str | tuple[int, ...],
    BeforeValidator(_read_setting),
]


class GameTerms(Section):
    """How one game is played; what is not given stays as it is. `settings` are the game's own."""

    life_s: Annotated[int, Field(ge=SHORTEST_ROUND_S, le=LONGEST_ROUND_S)] | None = None
    most_open: Annotated[int, Field(ge=1, le=50)] | None = None
    cool_down_s: Annotated[int, Field(ge=0, le=7 * 86_400)] | None = None
    plays_per_day: Annotated[int, Field(ge=0, le=100_000)] | None = None
    won_per_day: Points | None = None
    settings: Mapping[str, GameSetting] = {}


class GroupRef(Section):
    """One chat group as a channel knows it."""

    channel: ChannelName
    chat_id: AccountId


class Games(Section):
    """What games a community plays, and what they may cost; see `bot.model.GameRules`."""

    budget_per_day: Points = 100_000
    stakes: bool = False
    staked_per_day: Points = 500
    from_members: bool = False
    off: tuple[GameName, ...] = ()
    off_in: tuple[GroupRef, ...] = ()
    own: Mapping[GameName, GameTerms] = {}


class Welcome(Section):
    """A community's own greetings; empty means the default texts."""

    first: str = ""
    returning: str = ""


class CommunitySection(Section):
    """A community as the file describes it; None means the value of `locale` or of the top level.

    `managers` and `staff` are member ids that have the role from the start.
    """

    id: CommunityId
    name: Name | None = None
    channels: tuple[ChannelName, ...] = ()
    groups: tuple[GroupRef, ...] = ()
    time_zone: ZoneName | None = None
    day_start: Annotated[time, BeforeValidator(_check_day_start)] = time(0)
    language: Language | None = None
    managers: tuple[MemberId, ...] = ()
    staff: tuple[MemberId, ...] = ()
    check_in: CheckIn | None = None
    decency: Decency | None = None
    games: Games | None = None
    welcome: Welcome = Welcome()


ModuleName = Annotated[
    str, _matching(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", "must be the name of a module", "such as shop.bot")
]


class Config(Section):
    """The whole configuration file."""

    server: Server = Server()
    storage: Storage = Storage()
    locale: Locale = Locale()
    sandbox: Sandbox = Sandbox()
    check_in: CheckIn = CheckIn()
    decency: Decency = Decency()
    games: Games = Games()
    channels: tuple[Annotated[Channel, Field(discriminator="kind")], ...] = ()
    communities: tuple[CommunitySection, ...] = ()
    plugins: tuple[ModuleName, ...] = ()
