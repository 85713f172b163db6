from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from bot.config import StoreUrl, WechatOaChannel, WecomAppChannel, load_config, resolve_communities

if TYPE_CHECKING:
    from tests.config.conftest import ConfigFile

ROOT = Path(__file__).parents[2]


def test_the_demo_configuration_loads_without_any_environment() -> None:
    config = load_config(ROOT / "config.yaml", {})
    assert [channel.name for channel in config.channels] == ["app", "oa", "bot", "link", "robot"]
    assert config.channels[0].api_base == "http://127.0.0.1:8080"
    assert config.sandbox.enabled
    assert [community.id for community in resolve_communities(config)] == ["milk"]


def test_the_demo_moves_to_another_port_with_its_stand_in_vendor() -> None:
    config = load_config(ROOT / "config.yaml", {"HUOQUN_PORT": "9000"})
    assert config.server.port == 9000
    assert {channel.api_base for channel in config.channels} == {"http://127.0.0.1:9000"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "server:\nchannels:\n"])
def test_what_is_left_out_or_left_empty_has_its_default(file: ConfigFile, text: str) -> None:
    config = file.load(text)
    assert (config.server.host, config.server.port, config.server.soft_deadline_s) == ("127.0.0.1", 8080, 4.0)
    assert (config.storage.shards, config.storage.redis.embedded, config.storage.database.embedded) == (
        64,
        True,
        True,
    )
    assert (config.locale.language, config.locale.time_zone) == ("zh-CN", "Asia/Shanghai")
    assert (config.sandbox.enabled, config.channels, config.plugins) == (False, (), ())
    assert config.check_in.milestones == {3: 10, 7: 30, 30: 150}


def test_each_kind_of_channel_becomes_its_own_type(file: ConfigFile, app_line: str, oa_line: str) -> None:
    app, oa = file.load(f"channels:\n  - {app_line}\n  - {oa_line}\n").channels
    assert isinstance(app, WecomAppChannel)
    assert (app.agent_id, app.api_base) == (1000002, "https://qyapi.weixin.qq.com")
    assert app.token.get_secret_value() == "tok1"
    assert isinstance(oa, WechatOaChannel)
    assert (oa.mode, oa.original_id, oa.api_base) == ("encrypted", "", "https://api.weixin.qq.com")


def test_text_keeps_its_look_even_where_yaml_would_see_a_number_a_time_or_a_truth_value(
    file: ConfigFile,
) -> None:
    config = file.load("""
        channels:
          - {name: on, kind: wechat_oa, app_id: 0123, secret: 1e5, token: 12345678, mode: plain}
        communities:
          - {id: yes, name: 2024-01-01, channels: [on], day_start: 12:30}
        """)
    (channel,), (community,) = config.channels, config.communities
    assert isinstance(channel, WechatOaChannel)
    assert (channel.name, channel.app_id) == ("on", "0123")
    assert (channel.secret.get_secret_value(), channel.token.get_secret_value()) == ("1e5", "12345678")
    assert (community.id, community.name, community.day_start) == ("yes", "2024-01-01", time(12, 30))


def test_variables_stand_anywhere_in_a_value_and_become_the_type_of_the_key(file: ConfigFile) -> None:
    file.environ |= {"PORT": "81", "ON": "true", "HOST": "127.0.0.2", "EMPTY": ""}
    config = file.load("""
        server: {port: "80${PORT}", host: ${HOST}, public_url: "http://${HOST}:${PORT}/${NONE:-bot}/"}
        sandbox: {enabled: "${ON}"}
        storage: {redis: "redis://${EMPTY:-db}:6379/0"}
        communities: []
        """)
    assert (config.server.port, config.server.host) == (8081, "127.0.0.2")
    assert config.server.public_url == "http://127.0.0.2:81/bot"
    assert config.sandbox.enabled is True
    assert config.storage.redis.get_secret_value() == "redis://db:6379/0"


def test_what_comes_out_of_a_variable_is_not_expanded_again(file: ConfigFile, app_line: str) -> None:
    file.environ |= {"A": "${B}", "B": "never"}
    secret = "x$${B}${A}!file"  # `$${` is the way to write `${`
    (channel,) = file.load(f"channels:\n  - {app_line.replace('s3cr3t', f'{secret!r}')}\n").channels
    assert isinstance(channel, WecomAppChannel)
    assert channel.secret.get_secret_value() == "x${B}${B}!file"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_gives_its_content_without_one_line_break_at_the_end(
    file: ConfigFile, app_line: str, ending: str
) -> None:
    (file.directory / "keys").mkdir()
    (file.directory / "keys" / "app.txt").write_text(f"${{NOT_EXPANDED}}{ending}", newline="")
    file.environ["WHICH"] = "app"
    line = app_line.replace("s3cr3t", '!file "keys/${WHICH}.txt"')
    (channel,) = file.load(f"channels:\n  - {line}\n").channels
    assert isinstance(channel, WecomAppChannel)
    assert channel.secret.get_secret_value() == "${NOT_EXPANDED}"


def test_an_alias_repeats_what_its_anchor_holds(file: ConfigFile) -> None:
    config = file.load("""
        check_in: &rules {points: 3, milestones: {2: 5}}
        communities:
          - {id: a, groups: [{channel: oa, chat_id: g1}], check_in: *rules}
        channels: [{name: oa, kind: wechat_oa, app_id: wx1, secret: "", token: t, mode: plain}]
        """)
    assert config.communities[0].check_in == config.check_in
    assert config.check_in.points == 3


def test_the_data_directory_is_relative_to_the_configuration_file(file: ConfigFile) -> None:
    assert file.load("").storage.data_dir == file.directory / "data"
    assert file.load("storage: {shards: 1}").storage.data_dir == file.directory / "data"
    assert file.load("storage: {data_dir: ../elsewhere}").storage.data_dir == file.directory / "../elsewhere"
    assert file.load("storage: {data_dir: /var/huoqun}").storage.data_dir == Path("/var/huoqun")


@pytest.mark.parametrize(
    "url",
    [
        "embedded",
        "unix:///run/redis.sock?db=1",
        "redis://db",
        "rediss://user:pw@db:6380/2",
        "redis://[::1]:6379/1",
        "redis+cluster://a:1,b:2",
        "redis+sentinel://a:1,b:2/main",
    ],
)
def test_every_kind_of_redis_address_is_accepted(file: ConfigFile, url: str) -> None:
    assert file.load(f"storage: {{redis: '{url}'}}").storage.redis == StoreUrl(url)


@pytest.mark.parametrize(
    "url",
    [
        "embedded",
        "sqlite+aiosqlite:///a.db",
        "sqlite+aiosqlite:////var/a.db",
        "postgresql+asyncpg://u:p@db/bot",
        "postgresql+asyncpg:///bot?host=/run/postgresql",
    ],
)
def test_every_kind_of_database_address_is_accepted(file: ConfigFile, url: str) -> None:
    assert file.load(f"storage: {{database: '{url}'}}").storage.database == StoreUrl(url)


@pytest.mark.parametrize("deadline", ["0.001", "4", "3600.5", "1e-9"])
def test_the_soft_deadline_may_be_any_number_above_zero(file: ConfigFile, deadline: str) -> None:
    assert file.load(f"server: {{soft_deadline_s: {deadline}}}").server.soft_deadline_s == float(deadline)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_the_sandbox_runs_on_every_loopback_host(file: ConfigFile, host: str) -> None:
    assert file.load(f"server: {{host: '{host}'}}\nsandbox: {{enabled: true}}").sandbox.enabled


def test_the_sandbox_runs_elsewhere_only_when_told_so(file: ConfigFile) -> None:
    text = "server: {host: 0.0.0.0}\nsandbox: {enabled: on, allow_remote: %s}"
    assert file.load(text % "yes").sandbox.allow_remote
    assert [path for _line, path, _problem in file.brief(text % "no")] == ["sandbox.enabled"]


def test_a_secret_may_be_empty_on_purpose_and_a_plain_account_needs_no_key(file: ConfigFile) -> None:
    (channel,) = file.load(
        "channels: [{name: oa, kind: wechat_oa, app_id: wx1, secret: '', token: t, mode: plain}]"
    ).channels
    assert isinstance(channel, WechatOaChannel)
    assert channel.secret.get_secret_value() == channel.encoding_aes_key.get_secret_value() == ""


def test_a_loaded_configuration_cannot_be_changed(file: ConfigFile) -> None:
    config = file.load("")
    with pytest.raises(ValidationError):
        config.server.port = 1  # type: ignore[misc]  # that is the point
