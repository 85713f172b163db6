"""The tables of the pages say what the code says."""

from __future__ import annotations

import re
import tomllib

from annotated_types import Ge, Le
from prometheus_client import CollectorRegistry

from bot.api.endpoint import MOST_LIMIT
from bot.api.keyword_import import IMPORT_BYTES
from bot.api.problem import PROBLEMS
from bot.api.routes import ENDPOINTS
from bot.config.models import Config, Server, Storage
from bot.delivery.courier import Patience
from bot.delivery.errcodes import _OWN, SEND_RULES, TOKEN_RULES
from bot.delivery.routes import WECHAT_OA, WECOM_AIBOT, WECOM_AIBOT_CONNECTION, WECOM_APP, WECOM_ROBOT
from bot.late_worker import _MOST_TRIES
from bot.metrics import Metrics
from bot.platforms.replies import TEXT_LIMIT_BYTES
from bot.routing.keyword_answer import VARIABLES
from bot.routing.keyword_rule import MAX_ANSWER_BYTES, MAX_ANSWERS, MAX_TRIGGER_CHARACTERS, MAX_TRIGGERS
from bot.storage.redis.points import MOST_POINTS
from bot.storage.sql.api_tokens import ROLES
from bot.work import HANDLER_LIMIT_S, LEASE_MS
from tests.docs.pages import ROOT, page

STREAM_MINUTES = 6  # WeCom, AI bot, streaming semantics


def _code(cell: str) -> str:
    """Return what stands between the backticks of a cell."""
    return cell.strip("`")


def _numbers(text: str) -> list[float]:
    """Return the numbers of a text; 1 000 is written with a space."""
    return [float(number.replace(" ", "")) for number in re.findall(r"\d+(?: \d{3})*(?:\.\d+)?", text)]


def _most(model: type[Server | Storage], field: str) -> float:
    (limit,) = [mark.le for mark in model.model_fields[field].metadata if isinstance(mark, Le)]
    assert isinstance(limit, int)
    assert any(isinstance(mark, Ge) for mark in model.model_fields[field].metadata)
    return limit


def test_the_metrics_are_those_of_the_registry() -> None:
    def listed() -> dict[str, set[str]]:
        rows = page("docs/operations.md").table("Metrics")
        return {_code(name): set(re.findall(r"`(\w+)`", labels)) for name, labels, _ in rows}

    registry: CollectorRegistry = Metrics().registry
    found = {}
    for collector in registry._collector_to_names:
        (family,) = collector.collect()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = set(collector._labelnames)  # type: ignore[attr-defined]  # public nowhere
    assert listed() == found


def test_the_limits_are_those_of_the_code() -> None:
    rows = page("docs/operations.md").table("Limits")
    server = Server()
    expected: list[tuple[str, list[float]]] = [
        ("body of a callback", [server.max_body_bytes]),
        ("soft deadline", [server.soft_deadline_s]),
        ("same answer for repeats", [server.reply_memory_s]),
        ("no second effect, at least", [server.event_memory_s]),
        ("messages of a member that are answered", [server.member_rate_per_min]),
        ("processes", [_most(Server, "workers")]),
        ("shards", [_most(Storage, "shards")]),
        ("a handler", [HANDLER_LIMIT_S]),
        ("a late message counts on its own day", [7]),
        ("text of one message", [TEXT_LIMIT_BYTES]),
        ("points of one ledger entry", [MOST_POINTS]),
        ("triggers of a keyword rule", [MAX_TRIGGERS, MAX_TRIGGER_CHARACTERS]),
        ("answers of a keyword rule", [MAX_ANSWERS, MAX_ANSWER_BYTES]),
        ("page of an API list", [MOST_LIMIT]),
        ("keyword import", [IMPORT_BYTES >> 20]),
    ]
    assert [(row[0], _numbers(row[1])) for row in rows] == expected
    for row in rows:
        for key in re.findall(r"`(\w+)\.(\w+)`", row[2]):
            section = Config.model_fields[key[0]].default
            assert hasattr(section, key[1])


def test_the_channels_table_has_the_platforms_limits() -> None:
    rows = {row[0]: row[1:] for row in page("README.md").table("What these channels can and cannot do")}
    columns = (WECOM_APP, WECHAT_OA, WECOM_AIBOT, WECOM_ROBOT)
    assert WECOM_APP.text_limit_bytes == WECHAT_OA.text_limit_bytes == TEXT_LIMIT_BYTES
    assert [_numbers(cell) for cell in rows["one text at most"]] == [
        [row.text_limit_bytes] for row in columns
    ]
    assert [_numbers(cell) for cell in rows["answer"]] == [[row.deadline_s] for row in columns[:3]] + [[]]

    minute, hour = WECOM_APP.rates[:2]
    by_message = next(window for window in WECHAT_OA.windows if window.act == "message")
    held = WECOM_AIBOT_CONNECTION.rates
    assert [_numbers(cell) for cell in rows["answer later"]] == [
        [minute.most, hour.most],
        [by_message.per_ms / 3_600_000, by_message.most],
        [STREAM_MINUTES, WECOM_AIBOT.answer_for_ms / 3_600_000, held[0].most, held[1].most],
        [WECOM_ROBOT.rates[0].most],
    ]


def test_the_numbers_about_deliveries_and_late_handlers_are_those_of_the_code() -> None:
    patience = Patience()
    prose = page("docs/operations.md").prose
    waits = ", ".join(f"{wait:g}" for wait in patience.backoff_s)
    assert f"tried {patience.max_attempts} times (after\n{waits} s)" in prose
    assert f"up to {patience.give_up_after_ms / 3_600_000:g} hours" in prose
    assert f"a lease of {LEASE_MS // 1000} s" in page("docs/decisions/0003-leased-queue.md").prose
    assert _MOST_TRIES == 5
    assert "After five runs" in page("docs/decisions/0003-leased-queue.md").prose
    assert "five times at\nmost" in page("docs/handlers.md").prose


def test_every_reason_of_a_delivery_is_explained() -> None:
    reasons = {
        reason
        for row in page("docs/operations.md").table("Deliveries")
        for reason in re.findall(r"`(\w+)`", row[0])
    }
    assert reasons - {"secret"} == set(_OWN)


def test_every_error_code_of_the_connect_pages_is_known() -> None:
    for name, kind in (("wecom", "wecom_app"), ("official-account", "wechat_oa")):
        prose = page(f"docs/connect-{name}.md").prose
        tokens, sends = (
            {int(code) for code in re.findall(rf"`{word}_(\d+)`", prose)} for word in ("token", "errcode")
        )
        assert tokens <= TOKEN_RULES[kind].keys()
        assert sends <= SEND_RULES[kind].keys()


def test_every_refusal_the_connect_pages_quote_is_in_the_code() -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "bot").rglob("*.py"))
    quoted = {
        span
        for name in ("docs/connect-wecom.md", "docs/connect-official-account.md")
        for span in page(name).spans
        if re.fullmatch(r"[a-z]+(?: [a-z]+)+", span)
    }
    assert len(quoted) > 5
    assert {span for span in quoted if span not in code} == set()


def test_the_addresses_of_the_api_are_all_there_with_their_roles() -> None:
    rows = page("docs/api.md").table("Addresses")
    listed = {(method, _code(path), role) for method, path, role, _ in rows}
    assert listed == {
        (endpoint.method, endpoint.path, endpoint.role.name.lower() if endpoint.role else "")
        for endpoint in ENDPOINTS
    }
    assert {_code(row[0]) for row in page("docs/api.md").table("Tokens")} == set(ROLES)


def test_the_problems_of_the_api_are_all_there() -> None:
    rows = page("docs/api.md").table("Problems")
    assert {_code(word): int(status) for word, status in rows} == {
        word: status for word, (status, _) in PROBLEMS.items()
    }


def test_the_variables_of_answers_are_all_there() -> None:
    rows = page("docs/api.md").table("Keyword rules")
    assert {_code(english)[1:-1]: _code(chinese)[1:-1] for english, chinese, _ in rows} == VARIABLES


def test_every_package_has_its_row_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def named(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[>=<;]", requirement)[0] for requirement in requirements}

    def listed(heading: str) -> set[str]:
        return {row[0].split()[0] for row in page("docs/dependencies.md").table(heading)}

    assert listed("At run time") == named(project["dependencies"])
    assert listed("Tests (`test`)") == named(project["optional-dependencies"]["test"])
    assert listed("Checks (`check`)") == named(project["optional-dependencies"]["check"])
