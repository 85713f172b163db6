"""The scenarios that come with the product, and those of the tests, played against a whole running server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from bot.sandbox.player import play
from bot.sandbox.scenario import load_scenarios, shipped_scenarios
from tests.e2e.serving import Server, run, serving, wait_until
from tests.exercised import note
from tests.ports import held_port
from tests.sandbox.conftest import AES_KEY

pytestmark = pytest.mark.crash  # real processes on embedded stores, as the demo is

OWN = Path(__file__).parent / "scenarios"
SLOW = ("long-connection-silent",)  # waits for two heartbeats; by hand
CHANNELS = {"app": "wecom_app", "oa": "wechat_oa", "aibot": "wecom_aibot", "link": "wecom_aibot"}
MODES = {"aibot": "callback", "link": "long_connection"}
SCENARIOS = [*load_scenarios(shipped_scenarios()), *load_scenarios(OWN)]
PLAYS = [
    pytest.param(scenario, channel, id=f"{Path(scenario.file).stem}-{channel}")
    for scenario in SCENARIOS
    for channel, kind in CHANNELS.items()
    if scenario.fits(kind, MODES.get(channel, "encrypted"))
    and Path(scenario.file).stem not in {*SLOW, "no-route"}
]


@dataclass(frozen=True)
class Stage:
    """A server that answers, its configuration, a token of its API."""

    server: Server
    config: Path
    token: str


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One server of one process with every kind of channel that hears people."""
    config = tmp_path_factory.mktemp("stage") / "config.yaml"
    with held_port() as port, serving(_written(config, port)) as server:
        made = run(
            "token", "create", "--name", "stage", "--role", "owner", "--config", str(config), limit_s=60
        )
        assert made.returncode == 0, made.stderr
        yield Stage(server, config, made.stdout.strip())
        with urlopen(f"{server.base}/sandbox/api/state") as answer:  # noqa: S310 - our own server
            for channel in json.load(answer)["channels"]:
                note(request.config, channel["errcodes"])
                # The end of a stream that is sent again, since its receipt was lost, is counted there too.
                exceeded = {name for name in channel["violations"] if not name.endswith("after_finish")}
                assert exceeded == set()


def _written(config: Path, port: int) -> Path:
    config.write_text(yaml.safe_dump(_tree(port), allow_unicode=True), encoding="utf-8")
    return config


def _tree(port: int) -> dict[str, Any]:
    base = f"http://127.0.0.1:{port}"
    common = {"token": "stageToken", "encoding_aes_key": AES_KEY, "api_base": base}
    app = {**common, "kind": "wecom_app", "corp_id": "ww0000000000stage0"}
    channels: list[dict[str, Any]] = [
        {**app, "name": "app", "agent_id": 1000002, "secret": "stage-secret"},
        {**app, "name": "mute", "agent_id": 1000003, "secret": ""},
        {
            **common, "name": "oa", "kind": "wechat_oa", "app_id": "wx0000000000stage0",
            "original_id": "gh_000000stage", "secret": "stage-secret-of-the-account",
        },
        {**common, "name": "aibot", "kind": "wecom_aibot", "mode": "callback"},
        {
            "name": "link", "kind": "wecom_aibot", "mode": "long_connection", "bot_id": "aibSTAGE",
            "secret": "stage-secret-of-the-bot", "api_base": base, "ws_base": f"ws://127.0.0.1:{port}",
        },
    ]  # fmt: skip
    names = [str(channel["name"]) for channel in channels]
    community = {
        "id": "stage",
        "name": "剧社",
        "channels": names,
        "managers": [f"{name}:ana" for name in names],
    }
    return {
        "server": {
            "host": "127.0.0.1",
            "port": port,
            "soft_deadline_s": 0.5,
            "member_rate_per_min": 1_000_000,
        },
        "storage": {"data_dir": "data"},
        "sandbox": {"enabled": True},
        "plugins": ["tests.sandbox.stage_plugin"],
        "channels": channels,
        "communities": [community],
    }


@pytest.mark.parametrize(("scenario", "channel"), PLAYS)
async def test_a_scenario_holds_on_every_channel_it_fits(scenario: Any, channel: str, stage: Stage) -> None:
    printed: list[str] = []

    report = await play(stage.server.base, [scenario], write=printed.append, channels=[channel])

    assert report.failures == [], "\n".join(printed)
    assert report.plays == 1


@pytest.mark.parametrize("channel", CHANNELS)
async def test_the_living_core_holds_when_every_callback_comes_twice(channel: str, stage: Stage) -> None:
    (scenario,) = (one for one in SCENARIOS if Path(one.file).stem == "living-core")
    printed: list[str] = []

    report = await play(
        stage.server.base, [scenario], write=printed.append, channels=[channel], faults=["callback_doubled"]
    )

    assert report.failures == [], "\n".join(printed)


async def test_an_answer_without_a_route_stands_in_the_list_with_its_reason(stage: Stage) -> None:
    (scenario,) = load_scenarios(OWN / "no-route.yaml")
    printed: list[str] = []

    report = await play(
        stage.server.base, [scenario], write=printed.append, channels=["mute"], api_token=stage.token
    )

    assert report.failures == [], "\n".join(printed)


def test_the_command_line_plays_prints_and_says_by_its_exit_code_what_came_of_it(
    stage: Stage, tmp_path: Path
) -> None:
    wrong, broken = tmp_path / "wrong.yaml", tmp_path / "broken.yaml"
    head = "name: x\non: [wecom_app]\npeople: {lin: 小林}\nsteps:\n"
    wrong.write_text(
        f"{head}  - lin: 帮助\n  - expect: {{contains: 天气, within_s: 0.1}}\n", encoding="utf-8"
    )
    broken.write_text(f"{head}  - lim: 帮助\n", encoding="utf-8")
    config = ("--config", str(stage.config))

    well = run("sandbox", *config, "--play", "midnight", "--channel", "app")
    failed = run("sandbox", *config, "--play", str(wrong), "--channel", "app")
    refused = run("sandbox", *config, "--play", str(broken))
    unknown = run("sandbox", *config, "--play", "midnigth")

    assert (well.returncode, failed.returncode, refused.returncode, unknown.returncode) == (0, 1, 2, 2)
    assert "   小林: 签到\n" in well.stdout
    assert well.stdout.splitlines()[-1].startswith("✓ 1 played")
    assert f"✗ {wrong}:6: app (wecom_app): expected '天气'" in failed.stdout
    assert f"{broken}:5: steps[0].lim" in refused.stderr
    assert "did you mean midnight?" in unknown.stderr


def test_the_doctor_asks_who_holds_a_long_connection_instead_of_pushing_them_out(stage: Stage) -> None:
    def answered() -> dict[str, Any]:
        done = run("doctor", "--json", "--config", str(stage.config), limit_s=60)
        findings = {one["subject"]: one for one in json.loads(done.stdout) if "connection" in one["code"]}
        found: dict[str, Any] = findings["channel link"]
        return found

    wait_until(lambda: answered()["code"] == "connection_held", "a held connection", 60)
    assert str(stage.server.process.pid) in answered()["detail"]
    kicked = stage.server.log().count("another client subscribed")
    assert answered()["code"] == "connection_held"
    assert stage.server.log().count("another client subscribed") == kicked
