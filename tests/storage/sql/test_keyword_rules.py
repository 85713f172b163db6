from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.clock import FixedClock
from bot.errors import RefusedError, StoreError
from bot.model import KeywordRule
from bot.storage.sql.database import Database
from bot.storage.sql.keyword_rules import KeywordRuleStore
from bot.storage.sql.pages import encode_cursor
from bot.storage.sql.tables import keyword_rules

FULL = KeywordRule(
    triggers=("牛奶", 'say "moo"'),
    answers=("{name}，您好", "第二个 \\ 答案"),
    match="regex",
    pick="all",
    priority=-3,
    cool_down_s=60,
    cool_down_scope="member",
    hours=("09:00-18:00", "22:00-02:00"),
    weekdays=(1, 7),
    groups=("wr1",),
    enabled=False,
)


def _rule(*triggers: str) -> KeywordRule:
    return KeywordRule(triggers=triggers, answers=("好",))


@pytest.fixture
def store(database: Database, clock: FixedClock) -> KeywordRuleStore:
    return KeywordRuleStore(database, clock)


async def _all(store: KeywordRuleStore, community: str = "milk") -> list[KeywordRule]:
    return [rule for chunk in [chunk async for chunk in store.load(community)] for rule in chunk]


async def test_a_rule_comes_back_as_it_was_saved(store: KeywordRuleStore) -> None:
    saved = await store.create("milk", FULL, created_by="app:boss")
    assert saved.id > 0
    assert replace(saved, id=0) == FULL
    assert await store.get("milk", saved.id) == saved
    assert await store.get("tea", saved.id) is None
    assert await store.get("milk", 2**80) is None


async def test_who_made_a_rule_and_when_it_changed_is_kept(
    store: KeywordRuleStore, database: Database, clock: FixedClock
) -> None:
    saved = await store.create("milk", FULL, created_by="app:boss")
    made_at_ms = clock.now_ms()
    clock.move(timedelta(hours=1))
    await store.replace("milk", replace(saved, enabled=True))
    [row] = await database.fetch(keyword_rules.select())
    assert (row.created_by, row.created_at_ms, row.updated_at_ms) == ("app:boss", made_at_ms, clock.now_ms())


async def test_every_change_makes_the_version_higher_and_nothing_else_does(store: KeywordRuleStore) -> None:
    async def version_after(change: object) -> int:
        del change
        return (await store.versions()).get("milk", 0)

    assert await store.versions() == {}
    saved = await store.create("milk", _rule("a"), created_by="x")
    seen = [await version_after(saved)]
    seen.append(
        await version_after(await store.create_many("milk", [_rule("b"), _rule("c", "a")], created_by="x"))
    )
    seen.append(await version_after(await store.replace("milk", replace(saved, answers=("新",)))))
    seen.append(await version_after(await store.put_single("milk", _rule("b"), created_by="x")))
    seen.append(await version_after(await store.remove_trigger("milk", "b")))
    seen.append(await version_after(await store.delete("milk", saved.id)))
    assert seen == sorted(set(seen))

    last = seen[-1]
    assert await version_after(await store.replace("milk", replace(saved, id=10**6))) == last
    assert await version_after(await store.delete("milk", 10**6)) == last
    assert await version_after(await store.remove_trigger("milk", "nothing")) == last
    assert await version_after(await store.create_many("milk", [], created_by="x")) == last
    assert await store.versions() == {"milk": last}


async def test_a_refused_change_leaves_rules_and_version_as_they_were(store: KeywordRuleStore) -> None:
    rules = [_rule(str(n)) for n in range(400)] + [replace(_rule("last"), priority=2**70)]
    with pytest.raises(StoreError):
        await store.create_many("milk", rules, created_by="x")
    assert await _all(store) == []
    assert await store.versions() == {}


async def test_replacing_and_deleting_touch_the_communitys_own_rule_only(store: KeywordRuleStore) -> None:
    saved = await store.create("milk", _rule("a"), created_by="x")
    assert await store.replace("tea", saved) is None
    assert await store.delete("tea", saved.id) is False
    assert await store.replace("milk", replace(FULL, id=saved.id)) == replace(FULL, id=saved.id)
    assert await store.delete("milk", saved.id) is True
    assert await store.delete("milk", saved.id) is False
    assert await store.delete("milk", 2**80) is False
    assert await store.replace("milk", replace(FULL, id=2**80)) is None


async def test_the_id_of_a_deleted_rule_is_not_given_again(store: KeywordRuleStore) -> None:
    first = await store.create("milk", _rule("a"), created_by="x")
    await store.delete("milk", first.id)
    second = await store.create("milk", _rule("a"), created_by="x")
    assert second.id > first.id


async def test_pages_hold_every_rule_once_in_the_order_of_making(store: KeywordRuleStore) -> None:
    await store.create_many("milk", [_rule(str(n)) for n in range(25)], created_by="x")
    await store.create_many("tea", [_rule("tea")], created_by="x")
    found: list[str] = []
    cursor = None
    while True:
        page = await store.page("milk", limit=10, cursor=cursor)
        found += [rule.triggers[0] for rule in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [str(n) for n in range(25)]
    with pytest.raises(RefusedError):
        await store.page("milk", cursor=encode_cursor("x"))


async def test_loading_many_rules_leaves_turns_to_others(store: KeywordRuleStore) -> None:
    rules = [_rule(f"词{n}") for n in range(5000)]
    assert await store.create_many("milk", rules, created_by="x") == 5000
    turns = 0
    done = asyncio.Event()

    async def count_turns() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    sizes = []
    loaded: list[KeywordRule] = []
    async for chunk in store.load("milk"):
        sizes.append(len(chunk))
        loaded += chunk
    done.set()
    await counting
    assert [rule.triggers for rule in loaded] == [rule.triggers for rule in rules]
    assert max(sizes) <= 250
    assert turns >= len(sizes)


async def test_a_single_trigger_has_one_rule_of_its_own(store: KeywordRuleStore) -> None:
    many = await store.create("milk", _rule("a", "b"), created_by="x")
    assert await store.put_single("milk", _rule("a"), created_by="x") is False
    assert await store.put_single("milk", replace(_rule("a"), answers=("新",)), created_by="y") is True
    rules = await _all(store)
    assert rules[0] == many
    assert [(rule.triggers, rule.answers) for rule in rules[1:]] == [(("a",), ("新",))]


async def test_saving_one_trigger_from_many_hands_at_once_keeps_one_rule(store: KeywordRuleStore) -> None:
    await asyncio.gather(*(store.put_single("milk", _rule("a"), created_by=str(n)) for n in range(12)))
    assert [rule.triggers for rule in await _all(store)] == [("a",)]


async def test_a_trigger_is_taken_out_and_a_rule_without_triggers_goes(store: KeywordRuleStore) -> None:
    rules = [_rule("牛奶"), _rule("牛奶", "milk"), _rule("牛"), _rule("牛奶茶"), _rule("MILK")]
    await store.create_many("milk", rules, created_by="x")
    await store.create("tea", _rule("牛奶"), created_by="x")
    assert await store.remove_trigger("milk", "牛奶") == 2
    assert [rule.triggers for rule in await _all(store)] == [("milk",), ("牛",), ("牛奶茶",), ("MILK",)]
    assert await store.remove_trigger("milk", "milk") == 1
    assert [rule.triggers for rule in await _all(store)] == [("牛",), ("牛奶茶",), ("MILK",)]
    assert len(await _all(store, "tea")) == 1


async def test_triggers_of_one_rule_taken_out_at_once_by_two_processes_are_all_gone(
    store: KeywordRuleStore, history_url: str, clock: FixedClock
) -> None:
    """Reading and then writing in one transaction is where databases lock each other out."""
    elsewhere = await Database.open(history_url)
    stores = (store, KeywordRuleStore(elsewhere, clock))
    triggers = tuple(str(n) for n in range(16))
    await store.create("milk", _rule(*triggers, "stays"), created_by="x")
    await asyncio.gather(
        *(stores[n % 2].remove_trigger("milk", trigger) for n, trigger in enumerate(triggers))
    )
    await elsewhere.close()
    assert [rule.triggers for rule in await _all(store)] == [("stays",)]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(trigger=st.text(min_size=1), other=st.text(min_size=1))
async def test_any_text_can_be_a_trigger_and_be_taken_out_again(
    store: KeywordRuleStore, trigger: str, other: str
) -> None:
    assert await store.put_single("milk", _rule(trigger), created_by="x") is False
    assert await store.put_single("milk", _rule(trigger), created_by="x") is True
    assert await store.remove_trigger("milk", trigger + other) == 0
    assert await store.remove_trigger("milk", trigger) == 1
    assert await _all(store) == []


async def test_text_that_no_database_takes_is_cleaned(store: KeywordRuleStore) -> None:
    saved = await store.create(
        "milk", KeywordRule(("a\x00",), ("b\ud800",), groups=("\x00",)), created_by="\x00"
    )
    assert (saved.triggers, saved.answers, saved.groups) == (("a\ufffd",), ("b\ufffd",), ("\ufffd",))
