"""Examples of the pages are run as they stand."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bot.api.keyword_forms import RuleReader
from bot.api.keyword_import import read_rules
from bot.api.ledger import GrantForm
from bot.api.rounds import RoundForm
from bot.catalog import load_catalog
from bot.checks import check_program
from bot.cli import Cli
from bot.config import Config, load_config
from bot.errors import SignatureError
from bot.model import ImageMessage, KeywordRule, Subscribed
from bot.platforms.wechat.official_account import OfficialAccount
from bot.platforms.wecom.app import WecomApp
from bot.routing.normalise import Normaliser
from bot.sandbox.vendor import DEMO_PEOPLE
from bot.testing import FakeChat, Stores
from games.red_packet import RedPacket
from handlers.play import RulesInPlay
from run import ROUTERS
from tests.docs.pages import PAGES, Page, page

_AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
_ENVIRONMENT = {
    "WECOM_SECRET": "secret", "WECOM_TOKEN": "token", "WECOM_AES_KEY": _AES_KEY,
    "AIBOT_TOKEN": "token", "AIBOT_AES_KEY": _AES_KEY, "AIBOT_SECRET": "secret", "ROBOT_KEY": "robot-key",
    "WECHAT_SECRET": "secret", "WECHAT_TOKEN": "token", "WECHAT_AES_KEY": _AES_KEY,
}  # fmt: skip
_YAML = [(page.name, number) for page in PAGES for number in range(len(page.block("yaml")))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def _load(folder: Path, name: str, text: str) -> ModuleType:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    importlib.invalidate_caches()
    return importlib.import_module(name)


def _load_modules(folder: Path, page: Page) -> list[ModuleType]:
    """Save every Python block under the name its router has, tests as tests, and import them."""
    modules = []
    for number, text in enumerate(page.block("python")):
        named = re.search(r'Router\("(\w+)"\)', text)
        modules.append(_load(folder, named[1] if named else f"test_block_{number}", text))
    return modules


async def _run_tests(modules: list[ModuleType]) -> int:
    tests = [
        test
        for module in modules
        for name, test in inspect.getmembers(module, inspect.iscoroutinefunction)
        if name.startswith("test_")
    ]
    for test in tests:
        await test()
    return len(tests)


def _config(folder: Path, text: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, _ENVIRONMENT)


@pytest.mark.parametrize("name", ["README.md", "docs/handlers.md"])
async def test_the_handlers_and_their_tests_work_as_they_stand(name: str, folder: Path) -> None:
    assert await _run_tests(_load_modules(folder, page(name))) == 1


def test_the_readmes_handler_has_at_most_ten_lines_and_is_a_plug_in(folder: Path) -> None:
    text = page("README.md").block("python")[0]
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    assert "`plugins: [hello]`" in page("README.md").prose

    module = _load(folder, "hello", text)
    routers = Cli(ROUTERS).routers(_config(folder, "plugins: [hello]"))
    assert module.router in routers
    assert routers[-1] is ROUTERS[-1]


async def test_the_three_kinds_of_routes_do_what_the_page_says(folder: Path, stores: Stores) -> None:
    (garden,) = [
        module for module in _load_modules(folder, page("docs/handlers.md")) if module.__name__ == "garden"
    ]
    async with FakeChat([garden.router], stores=stores) as chat:
        assert await chat.say("ana", "＃浇水 玫瑰") == "给玫瑰浇了水。"
        assert await chat.say("ana", "WATER") == "给花园浇了水。"
        assert await chat.say("ana", "今天天氣怎么样") == "今天适合浇水。"
        assert await chat.send("ana", ImageMessage(url="", media_id="m1")) == "照片收到了，谢谢！"
        assert await chat.say("ana", "谢谢") is None


async def test_the_conversation_goes_as_the_page_says(folder: Path, stores: Stores) -> None:
    (order,) = [
        module for module in _load_modules(folder, page("docs/handlers.md")) if module.__name__ == "order"
    ]
    async with FakeChat([order.router], stores=stores) as chat:
        talk = ("预订", "很多", "3", "是")
        said = [await chat.say("ana", text) for text in talk]
        in_group = [await chat.say("ana", text, group="g1") for text in talk]
    assert said == [
        "要几箱？", "请写数字，或者发「取消」。", "3 箱，对吗？对就发「是」。", "订好了，现有 3 积分。",
    ]  # fmt: skip
    assert in_group == [f"ana，{answer}" for answer in said]


@pytest.mark.parametrize(("name", "number"), _YAML)
def test_every_configuration_loads_and_passes_the_check(name: str, number: int, folder: Path) -> None:
    config = _config(folder, page(name).block("yaml")[number])
    check_program(config, Cli(ROUTERS).routers(config), load_catalog())


async def test_the_first_five_minutes_go_as_the_readme_says(stores: Stores) -> None:
    readme = page("README.md").prose
    assert [name for _, name in DEMO_PEOPLE][:3] == ["安娜", "小明", "小红"]
    assert ("xiaoming", "小明") in DEMO_PEOPLE

    def said(text: str) -> str:
        assert f"`{text}`" in readme
        return text

    async with FakeChat(ROUTERS, managers=["ana"], stores=stores) as chat:
        assert "欢迎" in (await chat.send("xiaoming", Subscribed()) or "")
        assert "现有 10 积分" in (await chat.say("xiaoming", "签到") or "")
        assert "已经签到" in (await chat.say("xiaoming", "签到") or "")

        await chat.say("ana", said("关键词 营业时间=每天 9:00 到 21:00"))
        await chat.refresh_keywords()
        assert await chat.say("xiaohong", said("请问营业时间")) == "每天 9:00 到 21:00"

        assert "20 积分" in (await chat.say("ana", said("加分 xiaoming 20 晒单奖励")) or "")
        for command, shows in (("明细", "晒单奖励"), ("排行 今日", "30"), ("日历", "1 天"), ("帮助", "签到")):
            assert shows in (await chat.say("xiaoming", said(command)) or "")

        async def in_group(who: str, command: str) -> str:
            said(f"@活群 {command}")
            return await chat.say(who, command, group="鲜奶福利群") or ""

        assert "100 积分，10 份" in await in_group("ana", "发红包 100 10")
        for who in ("xiaoming", "xiaohong"):
            assert "你抢到" in await in_group(who, "抢")
        told = await in_group("ana", "结束")
        assert all(name in told for name in ("抢走了 2 份", "xiaoming　", "xiaohong　"))
        assert await in_group("ana", "结果") == told
        assert "猜大小" in await in_group("xiaoming", "游戏")


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        ("docs/connect-wecom.md",
         WecomApp(channel="app", corp_id="ww1", agent_id=1, token="t", encoding_aes_key=_AES_KEY)),
        ("docs/connect-official-account.md",
         OfficialAccount(channel="oa", app_id="wx1", token="t", encoding_aes_key=_AES_KEY)),
    ],
)  # fmt: skip
def test_the_empty_handshake_answers_what_the_page_calls_right(
    name: str, platform: WecomApp | OfficialAccount
) -> None:
    with pytest.raises(SignatureError) as refused:
        platform.verify_url("")
    assert f"`{refused.value}`" in page(name).prose
    assert refused.value.status == 403


def test_the_keyword_rule_and_the_file_of_rules_are_accepted() -> None:
    reader = RuleReader(frozenset(), Normaliser().normalise)
    rule, flaws = reader.read(json.loads(page("docs/api.md").block("json")[1]))
    assert flaws == []
    assert rule.cool_down_scope == "member"

    (text,) = page("docs/api.md").block("csv")
    rules, flaws = read_rules(text.encode("gb18030"), "text/csv", reader)
    assert flaws == []
    assert rules == [
        KeywordRule(
            ("营业时间", "几点开门"), ("每天 9:00 到 21:00", "早九晚九，欢迎光临"),
            weekdays=(1, 2, 3, 4, 5, 6, 7),
        ),
        KeywordRule(
            ("退货",), ("请把订单号发给我们",), match="exact", priority=10, hours=("09:00-18:00",),
            weekdays=(1, 2, 3, 4, 5),
        ),
    ]  # fmt: skip


def test_the_order_of_points_is_accepted() -> None:
    order = GrantForm.model_validate_json(page("docs/api.md").block("json")[0])
    assert (order.member, order.delta) == ("app:ana", 20)


def test_the_order_of_a_round_is_accepted() -> None:
    order = RoundForm.model_validate_json(page("docs/api.md").block("json")[-1])
    packet = RulesInPlay(RedPacket(), listens=True, conditions=True)
    assert packet.prepare(order.model_extra or {}).pot == 200
