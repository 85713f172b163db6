from __future__ import annotations

from typing import Any

from bot.model import KeywordRule
from tests.api.world import World

KEYWORDS = "/communities/milk/keywords"
WHOLE: dict[str, Any] = {
    "triggers": ["牛奶", "milk"],
    "match": "contains",
    "answers": ["鲜奶到了，{name}"],
    "pick": "in_turn",
    "priority": 7,
    "cool_down_s": 60,
    "cool_down_scope": "member",
    "hours": ["09:00-18:00"],
    "weekdays": [1, 5],
    "groups": ["wr9"],
    "enabled": False,
}
DEFAULTS = {
    "match": "contains", "pick": "random", "priority": 0, "cool_down_s": 0, "cool_down_scope": "group",
    "hours": [], "weekdays": [], "groups": [], "enabled": True,
}  # fmt: skip


async def test_a_rule_is_saved_shown_replaced_changed_and_deleted(world: World) -> None:
    made = await world.post(KEYWORDS, WHOLE)
    rule_id = made.body["id"]
    assert (made.status, made.body) == (201, {"id": rule_id, **WHOLE})
    assert made.headers["Location"] == f"/api/v1{KEYWORDS}/{rule_id}"
    one = f"{KEYWORDS}/{rule_id}"
    assert (await world.get(one)).body == made.body

    replaced = await world.ask("PUT", one, json={"triggers": ["茶"], "answers": ["好"]})
    assert (replaced.status, replaced.body) == (
        200,
        {"id": rule_id, "triggers": ["茶"], "answers": ["好"], **DEFAULTS},
    )

    changed = await world.ask("PATCH", one, json={"enabled": False, "priority": 3})
    assert changed.body == {**replaced.body, "enabled": False, "priority": 3}
    back = await world.ask("PATCH", one, json={"priority": None})
    assert back.body == {**replaced.body, "enabled": False}

    sent_back = await world.ask("PUT", one, json=made.body)
    assert sent_back.body == made.body
    assert (await world.ask("DELETE", one)).status == 204
    for method, json in (("GET", None), ("DELETE", None), ("PUT", WHOLE), ("PATCH", {})):
        assert (await world.ask(method, one, json=json)).word == "not_found", method


async def test_a_saved_rule_answers_in_the_chat_and_a_deleted_one_does_not(world: World) -> None:
    made = await world.post(KEYWORDS, {"triggers": ["牛奶"], "answers": ["鲜奶到了"]})
    await world.service.parts.keywords.refresh()
    assert await world.say("ana", "有牛奶吗") == "鲜奶到了"
    await world.ask("DELETE", f"{KEYWORDS}/{made.body['id']}")
    await world.service.parts.keywords.refresh()
    assert await world.say("ana", "有牛奶吗") is None


async def test_rules_of_another_community_are_not_found(world: World) -> None:
    made = await world.post(KEYWORDS, WHOLE)
    other = f"/communities/tea/keywords/{made.body['id']}"
    for method, json in (("GET", None), ("DELETE", None), ("PUT", WHOLE), ("PATCH", {"enabled": True})):
        assert (await world.ask(method, other, json=json)).word == "not_found", method
    assert (await world.get(f"{KEYWORDS}/{made.body['id']}")).body == made.body
    for number in ("0", "9" * 18, "9" * 40, "٣"):
        assert (await world.get(f"{KEYWORDS}/{number}")).word == "not_found", number


async def test_the_list_is_paged_oldest_first(world: World) -> None:
    made = [(await world.post(KEYWORDS, {**WHOLE, "triggers": [f"t{i}"]})).body for i in range(5)]
    assert await world.items(KEYWORDS, limit="2") == made


async def test_everything_wrong_with_a_rule_is_said_at_once_with_its_cure(world: World) -> None:
    wrong = {
        "triggers": ["签到", "", "ok"], "match": "exakt", "answers": ["{nam}", "{"], "pick": 3,
        "priority": 10**30, "cool_down_s": -1, "hours": ["9-18"], "weekdays": [0, "1"], "groups": "wr1",
        "enabled": "yes", "trigers": ["x"],
    }  # fmt: skip
    reply = await world.post(KEYWORDS, wrong)
    assert reply.word == "invalid"
    assert set(reply.flaws) == {
        "triggers[1]", "match", "answers[0]", "answers[1]", "pick", "priority", "cool_down_s", "hours[0]",
        "weekdays[1]", "groups", "enabled", "trigers",
    }  # fmt: skip
    assert "did you mean exact?" in reply.flaws["match"][1]
    assert "did you mean {name}?" in reply.flaws["answers[0]"][1]
    assert "did you mean triggers?" in reply.flaws["trigers"][1]
    assert await world.items(KEYWORDS) == []


async def test_wrong_rules_are_refused_and_leave_the_old_one(world: World) -> None:
    made = (await world.post(KEYWORDS, WHOLE)).body
    one = f"{KEYWORDS}/{made['id']}"
    cases: list[tuple[str, Any, str]] = [
        ("PUT", {"answers": ["x"]}, "triggers"),
        ("PUT", [], ""),
        ("PUT", "text", ""),
        ("PUT", {**WHOLE, "id": made["id"] + 1}, "id"),
        ("PUT", {**WHOLE, "triggers": ["帮助"], "match": "exact"}, "triggers[0]"),
        ("PUT", {**WHOLE, "triggers": ["a\0"]}, "triggers[0]"),
        ("PUT", {**WHOLE, "triggers": ["(?=x)"], "match": "regex"}, "triggers[0]"),
        ("PATCH", {"triggers": None}, "triggers"),
        ("PATCH", {"priority": "high"}, "priority"),
        ("PATCH", {"weekday": [1]}, "weekday"),
        ("PATCH", [1], ""),
    ]
    for method, json, path in cases:
        reply = await world.ask(method, one, json=json)
        assert (reply.status, list(reply.flaws)) == (422, [path]), (method, json)
    assert (await world.get(one)).body == made


async def test_what_was_wrong_before_keeps_no_other_field_from_changing(world: World) -> None:
    """A trigger that a later version of the product has made a command."""
    store = world.service.parts.stores.keyword_rules
    rule = await store.create("milk", KeywordRule(("签到",), ("x",), match="exact"), created_by="old")
    one = f"{KEYWORDS}/{rule.id}"
    assert (await world.ask("PATCH", one, json={"enabled": False})).status == 200
    assert list((await world.ask("PATCH", one, json={"hours": ["x"]})).flaws) == ["hours[0]"]
