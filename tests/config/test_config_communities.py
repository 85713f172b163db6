from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bot.config import resolve_communities
from bot.model import CheckInRules, Community, WelcomeTexts

if TYPE_CHECKING:
    from tests.config.conftest import ConfigFile


def test_a_community_is_what_the_file_says_of_it(file: ConfigFile, app_line: str, oa_line: str) -> None:
    config = file.load(f"""
        channels: [{app_line}, {oa_line}]
        communities:
          - id: milk
            name: 鲜奶社群
            channels: [app]
            groups: [{{channel: oa, chat_id: wr1}}]
            time_zone: Europe/Berlin
            day_start: "04:00"
            language: en
            managers: ["app:ana", "oa:o-1"]
            staff: ["app:bo"]
            check_in:
              points: 5
              milestones: {{10: 7, 2: 1}}
              make_up: {{cost: 0, days_back: 1, per_month: 9}}
            welcome: {{first: "你好，{{name}}", returning: "又见面了"}}
        """)
    assert config.communities[0].staff == ("app:bo",)
    assert resolve_communities(config)[0] == Community(
        id="milk",
        name="鲜奶社群",
        channels=("app",),
        zone=ZoneInfo("Europe/Berlin"),
        groups=(("oa", "wr1"),),
        day_start=time(4),
        managers=frozenset({"app:ana", "oa:o-1"}),
        language="en",
        check_in=CheckInRules(5, ((2, 1), (10, 7)), 0, 1, 9),
        welcome=WelcomeTexts("你好，{name}", "又见面了"),
    )


def test_a_community_takes_what_it_leaves_out_from_locale_and_check_in(
    file: ConfigFile, app_line: str
) -> None:
    config = file.load(f"""
        locale: {{language: en, time_zone: America/New_York}}
        check_in: {{points: 1}}
        channels: [{app_line}]
        communities: [{{id: milk, channels: [app]}}]
        """)
    (community,) = resolve_communities(config)
    assert (community.name, community.language, community.zone.key) == ("milk", "en", "America/New_York")
    assert community.check_in == CheckInRules(points=1)


def test_a_community_with_check_in_of_its_own_takes_nothing_from_the_general_one(
    file: ConfigFile, app_line: str
) -> None:
    config = file.load(f"""
        check_in: {{points: 1, make_up: {{cost: 99}}}}
        channels: [{app_line}]
        communities: [{{id: milk, channels: [app], check_in: {{points: 2}}}}]
        """)
    assert resolve_communities(config)[0].check_in == CheckInRules(points=2)


def test_a_channel_in_no_community_is_one_of_its_own(file: ConfigFile, app_line: str, oa_line: str) -> None:
    config = file.load(f"""
        locale: {{time_zone: Asia/Tokyo}}
        channels: [{app_line}, {oa_line}]
        communities: [{{id: milk, groups: [{{channel: oa, chat_id: g1}}], channels: [app]}}]
        """)
    milk, oa = resolve_communities(config)
    assert milk.channels == ("app",)
    assert oa == Community(id="oa", name="oa", channels=("oa",), zone=ZoneInfo("Asia/Tokyo"))
