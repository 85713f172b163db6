from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import load_config
from bot.config.faults import valid_keys
from bot.config.models import Config
from bot.config.values import nearest
from bot.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import ConfigFile


def test_all_faults_come_at_once_each_with_its_line_and_key_path(file: ConfigFile) -> None:
    text = """
        servr: {}
        server:
          port: 70000
          prot: 80
          workers: none
          soft_deadline_s: 0
        locale: {time_zone: Asia/Shangai}
        storage:
          redis: mysql://x
        channels:
          - name: app
            kind: wecom_app
            agent_id: many
            secret: ${NO_SUCH_VARIABLE}
            token: "not/alphanumeric"
            encoding_aes_key: !file missing.txt
          - {name: app, kind: wechat_ao, app_id: wx1, secret: "", token: t, mode: plane}
        communities:
          - id: milk
            channels: [ap]
            day_start: 24:00
        """
    assert file.brief(text) == [
        (1, "servr", "is not a known key"),
        (3, "server.port", "must be at most 65535"),
        (4, "server.prot", "is not a known key"),
        (5, "server.workers", "must be a whole number"),
        (6, "server.soft_deadline_s", "must be above 0"),
        (7, "locale.time_zone", "is not a known time zone"),
        (9, "storage.redis", "is not the address of a store"),
        (11, "channels[0].corp_id", "is missing"),
        (13, "channels[0].agent_id", "must be a whole number"),
        (14, "channels[0].secret", "environment variable NO_SUCH_VARIABLE is not set"),
        (15, "channels[0].token", "must be 1 to 32 letters and digits"),
        (16, "channels[0].encoding_aes_key", "the file cannot be read: No such file or directory"),
        (17, "channels[1].kind", "is not a known kind of channel"),
        (17, "channels[1].name", "is taken by line 11"),
        (17, "channels[1].mode", "must be one of encrypted, compatible, plain"),
        (20, "communities[0].channels[0]", "names an unknown channel"),
        (21, "communities[0].day_start", "must be a time of day from 00:00 to 23:59"),
    ]


@pytest.mark.parametrize(
    ("text", "path", "cure"),
    [
        ("chanels: []", "chanels", "did you mean channels?"),
        ("server: {prot: 1}", "server.prot", "did you mean port?"),
        ("storage: {append_fsync: always}", "storage.append_fsync", "did you mean appendfsync?"),
        ("check_in: {make_up: {day_back: 1}}", "check_in.make_up.day_back", "did you mean days_back?"),
        ("channels: [{kind: wecom_app, corpid: a}]", "channels[0].corpid", "did you mean corp_id?"),
        ("channels: [{kind: wechat_oa, appid: a}]", "channels[0].appid", "did you mean app_id?"),
        (
            "communities: [{groups: [{chatid: a}]}]",
            "communities[0].groups[0].chatid",
            "did you mean chat_id?",
        ),
        ("communities: [{welcome: {frist: a}}]", "communities[0].welcome.frist", "did you mean first?"),
        ("server: {log_level: warn}", "server.log_level", "did you mean warning?"),
        ("locale: {time_zone: asia/shanghai}", "locale.time_zone", "did you mean Asia/Shanghai?"),
        ("sandbox: {zzzzzzz: 1}", "sandbox.zzzzzzz", "valid: allow_remote, enabled"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest_valid_one(
    file: ConfigFile, text: str, path: str, cure: str
) -> None:
    assert (path, cure) in [(fault.path, fault.cure) for fault in file.faults(text)]


def test_an_unknown_kind_is_answered_with_all_kinds_and_the_rest_of_the_channel_is_still_checked(
    file: ConfigFile,
) -> None:
    faults = file.faults("channels:\n  - {name: a, kind: wecom_ap}\n  - {name: b, kind: telegram}\n  - {}")
    cures = {fault.path: fault.cure for fault in faults}
    assert (
        cures["channels[0].kind"]
        == "valid: wecom_app, wecom_aibot, wecom_robot, wechat_oa; did you mean wecom_app?"
    )
    assert cures["channels[1].kind"] == "valid: wecom_app, wecom_aibot, wecom_robot, wechat_oa"
    kinds = "wecom_app, wecom_aibot, wecom_robot, wechat_oa"
    assert cures["channels[2].kind"] == f"write kind: and its value, one of {kinds}"
    assert {"channels[0].corp_id", "channels[0].token"} <= cures.keys()


@pytest.mark.parametrize(
    ("text", "line", "path"),
    [
        ("server: {host: 0.0.0.0}\n  bad: [", 2, "(file)"),
        ("server: 'unclosed", 1, "(file)"),
        ("a: 1\n---\nb: 2", 2, "(file)"),
        ("locale:\n\tlanguage: en", 2, "(file)"),
        ("server: {}\nlocale: *nowhere", 2, "(file)"),
        ("server: {}\nname: \x07", 2, "(file)"),
        (b"server: {}\n\nname: \xff", 3, "(file)"),
        ("- server", 1, "(file)"),
        ("server", 1, "(file)"),
        ("[" * 100_000, 1, "(file)"),
        ("{[a]: 1}", 1, "(file)"),
        ("server: {port: 1}\nserver: {port: 2}", 2, "server"),
        ("server:\n  port: 1\n  host: ::1\n  port: 2", 4, "server.port"),
        ("server: &s\n  port: *s", 2, "server.port"),
        ("server: !include x", 1, "server"),
        ("server: !!python/object:os.system {}", 1, "server"),
        ("server: !file {}", 1, "server"),
        ("plugins: !!binary aGVsbG8=", 1, "plugins"),
        ("server: []", 1, "server"),
        ("channels: {}", 1, "channels"),
        ("channels:\n  - app", 2, "channels[0]"),
        ("plugins: a", 1, "plugins"),
        ("plugins: [a, a]", 1, "plugins[1]"),
        ("plugins: [a-b]", 1, "plugins[0]"),
        ("sandbox: {enabled: perhaps}", 1, "sandbox.enabled"),
        ("server: {port: 80.5}", 1, "server.port"),
        ("server: {port: true}", 1, "server.port"),
        ("server: {port: -1}", 1, "server.port"),
        ("server: {workers: 65}", 1, "server.workers"),
        ("server: {workers: 0}", 1, "server.workers"),
        ("server: {soft_deadline_s: -1}", 1, "server.soft_deadline_s"),
        ("server: {soft_deadline_s: .nan}", 1, "server.soft_deadline_s"),
        ("server: {soft_deadline_s: inf}", 1, "server.soft_deadline_s"),
        ("server: {max_body_bytes: 0}", 1, "server.max_body_bytes"),
        ("server: {host: 'http://x'}", 1, "server.host"),
        ("server: {host: ''}", 1, "server.host"),
        ("server: {public_url: example.com}", 1, "server.public_url"),
        ("storage: {shards: 0}", 1, "storage.shards"),
        ("storage: {shards: 1025}", 1, "storage.shards"),
        ("storage: {redis: 'redis://'}", 1, "storage.redis"),
        ("storage: {redis: 'unix://run/redis.sock'}", 1, "storage.redis"),
        ("storage: {redis: localhost}", 1, "storage.redis"),
        ("storage: {redis: 'redis://:pw:db:6379'}", 1, "storage.redis"),
        ("storage: {redis: 'redis://:p/w@db'}", 1, "storage.redis"),
        ("storage: {redis: 'redis://db:port'}", 1, "storage.redis"),
        ("storage: {redis: 'redis://a b'}", 1, "storage.redis"),
        ("storage: {redis: 'redis+cluster://a:1,,b:2'}", 1, "storage.redis"),
        ("storage: {redis: [embedded]}", 1, "storage.redis"),
        ("storage: {database: 'sqlite+aiosqlite://'}", 1, "storage.database"),
        ("storage: {database: 'sqlite+aiosqlite://bot.db'}", 1, "storage.database"),
        ("storage: {database: 'postgresql://db/bot'}", 1, "storage.database"),
        ("storage: {data_dir: ''}", 1, "storage.data_dir"),
        ("storage: {data_dir: [a]}", 1, "storage.data_dir"),
        ("locale: {time_zone: ''}", 1, "locale.time_zone"),
        ("locale: {time_zone: Asia}", 1, "locale.time_zone"),
        ("locale: {time_zone: ../../etc/passwd}", 1, "locale.time_zone"),
        ("locale: {time_zone: /etc/localtime}", 1, "locale.time_zone"),
        ("locale: {language: fr}", 1, "locale.language"),
        ("check_in: {points: -1}", 1, "check_in.points"),
        ("check_in:\n  milestones:\n    3: 1\n    x: 2", 4, "check_in.milestones.x"),
        ("check_in: {milestones: {0: 1}}", 1, "check_in.milestones.0"),
        ("check_in: {milestones: {3: many}}", 1, "check_in.milestones.3"),
        ("check_in: {milestones: [3, 10]}", 1, "check_in.milestones"),
        ("check_in: {make_up: {per_month: 32}}", 1, "check_in.make_up.per_month"),
        ("communities: [{id: 'a b', groups: [{channel: x, chat_id: y}]}]", 1, "communities[0].id"),
        ("communities: [{id: a}]", 1, "communities[0]"),
    ],
)
def test_a_wrong_file_is_refused_at_its_line(
    file: ConfigFile, text: str | bytes, line: int, path: str
) -> None:
    assert (line, path) in [(line, path) for line, path, _problem in file.brief(text)]


@pytest.mark.parametrize(
    ("good", "bad", "path"),
    [
        ("name: app", "name: App", "name"),
        ("name: app", f"name: {'a' * 33}", "name"),
        ("corp_id: ww1", "corp_id: ''", "corp_id"),
        ("agent_id: 1000002", "agent_id: -1", "agent_id"),
        ("token: tok1", f"token: {'a' * 33}", "token"),
        ("token: tok1", "token: ''", "token"),
        ("token: tok1", "token: a_b", "token"),
        ("token: tok1", "token: 令牌", "token"),
        ("token: tok1", "token: [a]", "token"),
        ("secret: s3cr3t", "secret:", "secret"),
        ("secret: s3cr3t", "secret: 'a b'", "secret"),
        ("secret: s3cr3t", "secret: ${EMPTY}", "secret"),
        ("secret: s3cr3t", "secret: ${UNSET}${UNSET2}", "secret"),
        ("secret: s3cr3t", "secret: 'a${'", "secret"),
        ("secret: s3cr3t", "secret: '${1A}'", "secret"),
        ("secret: s3cr3t", "secret: !file empty.txt", "secret"),
        ("secret: s3cr3t", "secret: !file binary.txt", "secret"),
        ("secret: s3cr3t", "secret: !file large.txt", "secret"),
        ("secret: s3cr3t", "secret: !file .", "secret"),
        ("secret: s3cr3t", 'secret: !file "\\0"', "secret"),
        ("b8}", "b}", "encoding_aes_key"),
        ("b8}", "b8=}", "encoding_aes_key"),
        ("b8}", "b-}", "encoding_aes_key"),
        ("b8}", "b8, api_base: 'https://vendor/cgi-bin'}", "api_base"),
        ("b8}", "b8, api_base: 'https://vendor/'}", "api_base"),
        ("b8}", "b8, api_base: vendor}", "api_base"),
        ("b8}", "b8, api_base: 'ftp://vendor'}", "api_base"),
        ("b8}", "b8, api_base: 'https://u:p@vendor'}", "api_base"),
        ("b8}", "b8, api_base: 'https://vendor:99999'}", "api_base"),
        ("b8}", "b8, api_base: 'https://vendor?a=b'}", "api_base"),
    ],
)
def test_a_wrong_value_of_a_channel_is_the_only_fault(
    file: ConfigFile, app_line: str, good: str, bad: str, path: str
) -> None:
    file.environ["EMPTY"] = ""
    (file.directory / "empty.txt").write_text("\n")
    (file.directory / "binary.txt").write_bytes(b"\xff\xfe")
    (file.directory / "large.txt").write_text("x" * 70_000)
    assert good in app_line
    brief = file.brief(f"channels:\n  - {app_line.replace(good, bad)}\n")
    assert {(line, where) for line, where, _problem in brief} == {(2, f"channels[0].{path}")}


@pytest.mark.parametrize(
    "channel",
    [
        "{name: oa, kind: wechat_oa, app_id: wx1, secret: '', token: t}",
        "{name: oa, kind: wechat_oa, app_id: wx1, secret: '', token: t, encoding_aes_key: ''}",
        "{name: oa, kind: wechat_oa, app_id: wx1, secret: '', token: t, mode: compatible}",
        "{name: oa, kind: wecom_app, corp_id: w, agent_id: 1, secret: '', token: t, encoding_aes_key: ''}",
    ],
)
def test_only_a_plain_official_account_does_without_a_key(file: ConfigFile, channel: str) -> None:
    assert file.brief(f"channels: [{channel}]") == [
        (1, "channels[0].encoding_aes_key", "must not be empty"),
    ]


@pytest.mark.parametrize(
    ("communities", "expected"),
    [
        ("[{id: a, channels: [app]}, {id: a, channels: [oa]}]", {"communities[1].id"}),
        ("[{id: a, channels: [app]}, {id: b, channels: [app, oa]}]", {"communities[1].channels[0]"}),
        ("[{id: a, channels: [app, app]}]", {"communities[0].channels[1]"}),
        ("[{id: a, channels: [ap]}]", {"communities[0].channels[0]"}),
        ("[{id: a, groups: [{channel: ap, chat_id: g}]}]", {"communities[0].groups[0].channel"}),
        (
            "[{id: a, groups: [{channel: oa, chat_id: g}]}, {id: b, groups: [{channel: oa, chat_id: g}]}]",
            {"communities[1].groups[0]"},
        ),
        ("[{id: oa, channels: [app]}]", {"communities[0].id"}),
        ("[{id: a, channels: [oa], managers: [ana]}]", {"communities[0].managers[0]"}),
        ("[{id: a, channels: [oa], managers: ['oa:']}]", {"communities[0].managers[0]"}),
        ("[{id: a, channels: [oa], managers: ['x:ana', 'oa:bo']}]", {"communities[0].managers[0]"}),
        ("[{id: a, channels: [oa], staff: ['x:ana']}]", {"communities[0].staff[0]"}),
        ("[{id: a, channels: [oa], time_zone: Mars/Base}]", {"communities[0].time_zone"}),
        ("[{id: a, channels: [oa], day_start: '4:00'}]", {"communities[0].day_start"}),
        ("[{id: a, channels: [oa], name: ''}]", {"communities[0].name"}),
        ("[{channels: [oa]}]", {"communities[0].id"}),
    ],
)
def test_communities_that_do_not_fit_their_channels_are_refused(
    file: ConfigFile, app_line: str, oa_line: str, communities: str, expected: set[str]
) -> None:
    text = f"channels:\n  - {app_line}\n  - {oa_line}\ncommunities: {communities}\n"
    assert {path for _line, path, _problem in file.brief(text)} == expected


def test_a_channel_may_serve_several_communities_by_groups(
    file: ConfigFile, app_line: str, oa_line: str
) -> None:
    file.load(f"""
        channels: [{app_line}, {oa_line}]
        communities:
          - {{id: a, groups: [{{channel: app, chat_id: g1}}, {{channel: app, chat_id: g2}}]}}
          - {{id: b, groups: [{{channel: app, chat_id: g3}}], channels: [oa]}}
          - {{id: c, channels: [app]}}
        """)


def test_a_channel_whose_name_cannot_be_read_does_not_make_others_unknown(
    file: ConfigFile, app_line: str
) -> None:
    text = f"channels: [{app_line.replace('name: app', 'name: ${UNSET}')}]\n"
    assert [
        path for _line, path, _problem in file.brief(text + "communities: [{id: a, channels: [app]}]")
    ] == ["channels[0].name"]


def test_a_misspelt_variable_is_answered_with_the_one_that_is_set(file: ConfigFile) -> None:
    file.environ["HUOQUN_PORT"] = "80"
    (fault,) = file.faults("server: {port: '${HUOQUN_PROT}'}")
    assert fault.cure == "did you mean HUOQUN_PORT?"


def test_a_missing_file_is_a_fault_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "config.yaml", {})


@given(st.sampled_from(valid_keys(())), st.data())
def test_one_wrong_letter_in_a_key_is_always_told_the_right_key(key: str, data: st.DataObject) -> None:
    """The nearest-key search that the faults use, on every key of the first level."""
    position = data.draw(st.integers(0, len(key) - 1))
    misspelt = key[:position] + "0" + key[position + 1 :]
    assert nearest(misspelt, Config.model_fields) == key
