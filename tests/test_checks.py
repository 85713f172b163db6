from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from bot.catalog import Catalog, load_catalog
from bot.checks import check_program, describe_channels
from bot.cli import Cli
from bot.config import Config
from bot.errors import ConfigError
from bot.routing.router import Router
from run import ROUTERS

CHANNEL = {
    "name": "app",
    "kind": "wecom_app",
    "corp_id": "ww0000000000test00",
    "agent_id": 1000002,
    "secret": "secret",
    "token": "token",
    "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
}
CONNECTED = {
    "name": "app",
    "kind": "wecom_aibot",
    "mode": "long_connection",
    "bot_id": "bot0",
    "secret": "secret",
    "ws_base": "wss://openws.work.weixin.qq.com",
}
COMMUNITY = {"id": "milk", "channels": ["app"], "managers": ["app:ana"]}


def _config(**sections: object) -> Config:
    return Config.model_validate({"channels": [CHANNEL], "communities": [COMMUNITY], **sections})


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def _module(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> Router:
    """Write a module of handlers, import it and return its router."""
    file = folder / "shop_bot.py"
    file.write_text("from bot.model import Reply\nfrom bot.routing.router import Router\n" + source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "shop_bot", raising=False)
    module: ModuleType = __import__("shop_bot")
    router = module.router
    assert isinstance(router, Router)
    return router


def _faults(config: Config, routers: list[Router], catalog: Catalog) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_program(config, routers, catalog)
    return [str(fault) for fault in caught.value.faults]


def test_the_product_as_it_comes_is_well(catalog: Catalog) -> None:
    assert check_program(_config(), ROUTERS, catalog) == ()


def test_every_text_a_handler_asks_for_must_be_there_with_the_values_it_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
router = Router("shop")

@router.command("商店")
async def show(ctx):
    key = "shop.open" if ctx.rest else "shop.price"
    ctx.text(f"shelf.{ctx.rest}")
    ctx.text(f"shop.{ctx.rest}")
    ctx.text("shop.price", wrong=1)
    ctx.say("shop.price", price=2, more=1)
    ctx.say("shop.price", **ctx.values)
    Reply.text("not a key")
    return ctx.say(key, price=1)
"""
    shutil.copytree(Path(str(files("content"))), tmp_path / "content")
    for language in ("zh-CN", "en"):
        (tmp_path / "content" / language / "shop.yaml").write_text('shop.price: "{price} 元"')
    catalog = load_catalog(tmp_path / "content")
    faults = _faults(_config(), [_module(tmp_path, source, monkeypatch)], catalog)
    assert sum("shop.open: has no text" in fault for fault in faults) == 1
    assert sum("shelf.…: no text begins so" in fault for fault in faults) == 1
    # Once per language: the placeholder {price} has no value there.
    assert sum("{price}, which nothing fills" in fault for fault in faults) == 2
    assert all("shop_bot.py:" in fault for fault in faults)
    assert len(faults) == 4


def test_the_texts_of_a_step_of_a_conversation_are_checked_too(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
router = Router("shop")

@router.step("shop.size")
async def size(ctx):
    return ctx.say("shop.sold_out")
"""
    faults = _faults(_config(), [_module(tmp_path, source, monkeypatch)], catalog)
    assert any("shop.sold_out: has no text" in fault for fault in faults)


def test_all_faults_of_all_kinds_come_at_once(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
router = Router("shop")

@router.command("签到")
async def again(ctx):
    return ctx.say("shop.gone")
"""
    router = _module(tmp_path, source, monkeypatch)
    community = {**COMMUNITY, "welcome": {"first": "{nobody}", "returning": "{"}}
    faults = _faults(_config(communities=[community]), [*ROUTERS, router], catalog)
    assert sum("the command 签到 is registered already" in fault for fault in faults) == 1
    assert sum("communities[milk].welcome.first" in fault for fault in faults) == 1
    assert sum("communities[milk].welcome.returning" in fault for fault in faults) == 1
    assert sum("shop.gone" in fault for fault in faults) == 1


@pytest.mark.parametrize(
    ("sections", "warning"),
    [
        ({"channels": [], "communities": []}, "channels: there is none"),
        ({"channels": [{**CHANNEL, "secret": ""}]}, "channels[app].secret is empty"),
        (
            {"channels": [{**CHANNEL, "api_base": "http://127.0.0.1:8080"}]},
            "channels[app].api_base is this machine, but the sandbox is off",
        ),
        ({"sandbox": {"enabled": True}}, "channels[app].api_base is the vendor's, but the sandbox is on"),
        (
            {"channels": [{**CONNECTED, "ws_base": "ws://127.0.0.1:8080"}]},
            "channels[app].ws_base is this machine, but the sandbox is off",
        ),
        (
            {"channels": [CONNECTED], "sandbox": {"enabled": True}},
            "channels[app].ws_base is the vendor's, but the sandbox is on",
        ),
        ({"server": {"soft_deadline_s": 6}}, "server.soft_deadline_s is 6"),
        ({"communities": [{**COMMUNITY, "managers": []}]}, "communities[milk].managers is empty"),
    ],
)
def test_what_is_allowed_but_odd_is_a_warning(
    catalog: Catalog, sections: dict[str, object], warning: str
) -> None:
    [found] = check_program(_config(**sections), ROUTERS, catalog)
    assert found.startswith(warning)


def test_a_channel_is_described_in_both_languages() -> None:
    lines = list(describe_channels(_config()))
    assert lines[0] == "app (wecom_app)"
    assert "    - It cannot answer in a group." in lines
    assert "    - 不能在群内回复。" in lines
    assert lines.index("  能做 / can:") < lines.index("  不能 / cannot:")


def test_check_prints_what_the_channels_can_do_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "channels:\n  - {name: oa, kind: wechat_oa, app_id: wx0, secret: x, token: token, mode: plain}\n"
    )
    said = CliRunner().invoke(Cli(ROUTERS)._group(), ["check", "--channels", "--config", str(file)])
    assert said.exit_code == 0, said.output
    assert "oa (wechat_oa, plain)" in said.output
    assert "It says nothing unprompted in a group." in said.output
    plain = CliRunner().invoke(Cli(ROUTERS)._group(), ["check", "--config", str(file)])
    assert "oa (" not in plain.output
