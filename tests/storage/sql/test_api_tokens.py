from __future__ import annotations

from datetime import timedelta

import pytest

from bot.clock import FixedClock
from bot.errors import RefusedError
from bot.storage.sql.api_tokens import ApiToken, ApiTokenStore
from bot.storage.sql.database import Database
from tests.storage.sql.rows import everything


@pytest.fixture
def store(database: Database, clock: FixedClock) -> ApiTokenStore:
    return ApiTokenStore(database, clock)


async def test_a_token_opens_with_its_text_and_nothing_else(store: ApiTokenStore, clock: FixedClock) -> None:
    token_id, plaintext = await store.create("ci", "manager", "milk")
    assert plaintext.startswith("hq_")
    assert len(plaintext) == 3 + 43  # 256 bits in base64 without padding
    assert await store.find(plaintext) == ApiToken(token_id, "ci", "manager", "milk", clock.now_ms(), None)
    for wrong in ("", "hq_", plaintext[:-1], plaintext + "x", plaintext.lower(), "\x00", "\ud800"):
        assert await store.find(wrong) is None


async def test_only_the_hash_of_a_token_is_kept(store: ApiTokenStore, database: Database) -> None:
    _, plaintext = await store.create("ci", "owner")
    assert plaintext[3:] not in repr(await everything(database))
    assert plaintext[3:] not in repr(await store.list())


async def test_two_tokens_of_one_name_are_two_tokens(store: ApiTokenStore) -> None:
    (first, one), (second, two) = await store.create("ci", "owner"), await store.create("ci", "owner")
    assert first != second
    assert one != two


async def test_a_revoked_token_opens_nothing_and_stays_in_the_list(
    store: ApiTokenStore, clock: FixedClock
) -> None:
    token_id, plaintext = await store.create("ci", "owner")
    other_id, other = await store.create("bi", "analyst")
    clock.move(timedelta(days=1))
    assert await store.revoke(token_id) is True
    assert await store.find(plaintext) is None
    assert await store.find(other) is not None
    assert [(token.id, token.revoked_at_ms) for token in await store.list()] == [
        (token_id, clock.now_ms()),
        (other_id, None),
    ]
    assert await store.revoke(token_id) is False
    assert await store.revoke(10**6) is False
    assert await store.revoke(2**80) is False


async def test_an_unknown_role_is_refused_with_those_there_are(store: ApiTokenStore) -> None:
    with pytest.raises(RefusedError, match="owner, manager, analyst"):
        await store.create("ci", "root")
    assert await store.list() == ()
