"""What each kind of channel can do, and which way an answer goes."""

from __future__ import annotations

from typing import get_args

import pytest

from bot.delivery.division import divide
from bot.delivery.errcodes import _OWN, SEND_RULES, TOKEN_RULES, Verdict, explain
from bot.delivery.outcome import judge
from bot.delivery.routes import ABILITIES, WECHAT_OA, WECOM_APP, Route, channel_abilities, takes_passive_reply
from bot.errors import PlatformApiError
from bot.model import Article, Image, News, Part, Report, Text


@pytest.mark.parametrize(
    ("kind", "has_secret", "route"),
    [
        ("wecom_app", True, Route.ACTIVE),
        ("wechat_oa", True, Route.WINDOW),
        ("wecom_app", False, Route.NONE),
        ("wechat_oa", False, Route.NONE),
    ],
)
def test_the_way_of_an_answer_that_missed_its_deadline(kind: str, *, has_secret: bool, route: Route) -> None:
    assert channel_abilities(kind, can_send=has_secret).later("") is route


def test_the_table_names_reports_and_parts_that_exist() -> None:
    reports = {report.name for report in get_args(Report)}
    parts = {part.kind for part in get_args(Part)}

    for kind, row in ABILITIES.items():
        assert row.name == kind
        assert row.passive_events <= reports
        assert row.passive_parts | row.active_parts <= parts


def test_which_reports_take_an_answer() -> None:
    assert takes_passive_reply(WECOM_APP, "text", is_message=True)
    assert takes_passive_reply(WECOM_APP, "enter", is_message=False)
    assert not takes_passive_reply(WECHAT_OA, "unsubscribe", is_message=False)


def test_the_first_piece_goes_in_the_response_and_the_rest_follows() -> None:
    parts = (Text("字" * 700), Image("m"))

    inline = divide(parts, WECOM_APP, inline=True)
    assert inline.passive == Text("字" * 682)
    assert inline.rest == (Text("字" * 18), Image("m"))

    late = divide(parts, WECOM_APP, inline=False)
    assert late.passive is None
    assert late.rest == (Text("字" * 682), Text("字" * 18), Image("m"))
    assert divide((), WECOM_APP, inline=True).passive is None


def test_news_are_cut_to_what_the_kind_takes() -> None:
    news = News(tuple(Article(str(number)) for number in range(10)))

    assert [len(part.articles) for part in divide((news,), WECOM_APP, inline=False).rest] == [8, 2]  # type: ignore[union-attr]
    assert len(divide((news,), WECHAT_OA, inline=False).rest) == 10


@pytest.mark.parametrize("kind", ["wecom_app", "wecom_robot", "wecom_aibot", "wechat_oa"])
def test_every_code_tells_cause_and_cure_in_both_languages(kind: str) -> None:
    reasons = [f"errcode_{code}" for code in SEND_RULES[kind]] + [
        f"token_{code}" for code in TOKEN_RULES.get(kind, ())
    ]

    for reason in [*reasons, *_OWN, "errcode_99999", "token_99999", "nonsense", "errcode_x"]:
        text = explain(kind, reason)
        assert text.cause.isascii()
        assert text.cure
        assert any("\u4e00" <= char <= "\u9fff" for char in text.cause_zh)
        assert any("\u4e00" <= char <= "\u9fff" for char in text.cure_zh)


def test_one_code_means_different_things_in_different_calls() -> None:
    assert "secret" in explain("wechat_oa", "token_40001").cure
    assert "access token" in explain("wechat_oa", "errcode_40001").cause
    assert explain("wecom_app", "errcode_48002") != explain("wechat_oa", "errcode_48002")


@pytest.mark.parametrize(
    ("kind", "endpoint", "errcode", "reason", "final", "counts"),
    [
        ("wecom_app", "cgi-bin/message/send", -1, "errcode_-1", False, True),
        ("wecom_app", "cgi-bin/message/send", 45009, "errcode_45009", False, False),
        ("wecom_app", "cgi-bin/gettoken", 40001, "token_40001", False, False),
        ("wecom_app", "cgi-bin/gettoken", 12345, "token_12345", False, False),
        ("wecom_robot", "cgi-bin/webhook/send", 45009, "errcode_45009", False, False),
        ("wecom_robot", "cgi-bin/webhook/send", 93000, "errcode_93000", False, False),
        ("wecom_robot", "cgi-bin/webhook/send", 45033, "errcode_45033", False, False),
        ("wecom_robot", "cgi-bin/webhook/send", 40123, "errcode_40123", True, True),
        ("wecom_aibot", "aibot_send_msg", 45009, "errcode_45009", False, False),
        ("wecom_aibot", "aibot_respond_msg", 846605, "errcode_846605", True, True),
        ("wecom_aibot", "aibot_send_msg", 853006, "errcode_853006", False, False),
        ("wecom_aibot", "aibot_send_msg", 45011, "errcode_45011", False, True),
        ("wechat_oa", "cgi-bin/message/custom/send", 45015, "errcode_45015", True, True),
        ("wechat_oa", "cgi-bin/message/custom/send", 45047, "errcode_45047", True, True),
        ("wechat_oa", "cgi-bin/message/custom/send", 48001, "errcode_48001", False, False),
        ("wechat_oa", "cgi-bin/message/custom/send", 40123, "errcode_40123", True, True),
        ("wechat_oa", "cgi-bin/message/custom/send", 90001, "errcode_90001", False, True),
    ],
)
def test_what_a_refusal_means(
    kind: str, endpoint: str, errcode: int, reason: str, *, final: bool, counts: bool
) -> None:
    failure = judge(kind, PlatformApiError(platform=kind, endpoint=endpoint, errcode=errcode, errmsg=""))

    assert (failure.reason, failure.final, failure.counts) == (reason, final, counts)
    assert counts or failure.first_s > 0


def test_every_wait_has_a_length() -> None:
    for rules in (*SEND_RULES.values(), *TOKEN_RULES.values()):
        for rule in rules.values():
            waits = rule.verdict in {Verdict.WAIT, Verdict.CONFIGURATION}
            assert not waits or 0 < rule.first_s <= rule.longest_s
