from __future__ import annotations

from datetime import timedelta

import pytest

from bot.api.endpoint import Role
from bot.storage.sql.api_tokens import ROLES
from tests.api.requests import dead_delivery, sample_requests
from tests.api.world import World


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("scope", [None, "milk", "tea"])
async def test_every_endpoint_opens_to_its_roles_and_its_community_alone(
    world: World, role: str, scope: str | None
) -> None:
    samples = await sample_requests(world)
    _, token = await world.tokens.create("t", role, scope)
    for sample in samples:
        reply = await world.ask(sample.endpoint.method, sample.path, token=token, json=sample.body)

        names_milk = "{community}" in sample.endpoint.path or "{delivery}" in sample.endpoint.path
        names_milk = names_milk or sample.endpoint.act.__name__ == "create_delivery"
        low = Role[role.upper()] < sample.endpoint.role
        if low or (scope == "tea" and names_milk):
            assert (reply.status, reply.word) == (403, "forbidden"), sample.name
            assert "insufficient_scope" in reply.headers["WWW-Authenticate"]
        else:
            assert reply.status < 300, (sample.name, reply)


async def test_every_endpoint_is_closed_without_a_token_in_force(world: World) -> None:
    samples = await sample_requests(world)
    token_id, revoked = await world.tokens.create("old", "owner")
    assert (await world.ask("GET", "/status", token=revoked)).status == 200
    await world.tokens.revoke(token_id)
    for sample in samples:
        for token in ("", revoked, "hq_unknown", "x", world.owner + "x"):
            reply = await world.ask(sample.endpoint.method, sample.path, token=token, json=sample.body)
            assert (reply.status, reply.word) == (401, "unauthorized"), (sample.name, token)
            assert reply.headers["WWW-Authenticate"].startswith("Bearer ")
        world.clock.move(timedelta(minutes=1))
    assert len(await world.items("/communities/milk/ledger")) == 1


async def test_other_ways_to_authorize_are_refused(world: World) -> None:
    for value in ("Basic eDp5", world.owner, "Bearer", "Bearer ", "Token " + world.owner):
        reply = await world.ask("GET", "/status", token="", headers={"Authorization": value})
        assert reply.word == "unauthorized", value
    scheme_in_small_letters = {"Authorization": f"bearer {world.owner}"}
    assert (await world.ask("GET", "/status", token="", headers=scheme_in_small_letters)).status == 200


async def test_a_token_of_one_community_sees_it_alone_in_lists(world: World) -> None:
    await dead_delivery(world, "d-milk", "milk", "app")
    await dead_delivery(world, "d-tea", "tea", "oa")
    _, token = await world.tokens.create("tea", "manager", "tea")

    async def ids(path: str, key: str) -> list[str]:
        reply = await world.ask("GET", path, token=token)
        return [item[key] for item in reply.body["channels" if path == "/status" else "items"]]

    assert await ids("/communities", "id") == ["tea"]
    assert await ids("/deliveries", "id") == ["d-tea"]
    assert await ids("/deliveries?community=tea", "id") == ["d-tea"]
    assert await ids("/status", "name") == ["app", "oa"]  # a group of tea is on channel app
    for path in ("/deliveries?community=milk", "/deliveries?community=nowhere", "/communities/nowhere"):
        assert (await world.ask("GET", path, token=token)).word == "forbidden", path


async def test_an_unknown_community_is_not_found_for_a_token_of_all(world: World) -> None:
    for path in ("/communities/nowhere", "/communities/nowhere/members", "/communities/nowhere/keywords/1"):
        assert (await world.get(path)).word == "not_found", path


async def test_who_guesses_tokens_has_to_wait_and_those_beside_them_do_not(world: World) -> None:
    _, unused = await world.tokens.create("never used", "owner")
    assert (await world.get("/status")).status == 200
    for number in range(100):
        assert (await world.ask("GET", "/status", token=f"hq_guess{number}")).status == 401

    reply = await world.ask("GET", "/status", token=unused)
    assert (reply.status, reply.word) == (429, "too_many_attempts")
    assert 0 < int(reply.headers["Retry-After"]) <= 60
    assert (await world.get("/status")).status == 200
    assert (await world.ask("GET", "/status", token="")).status == 401

    world.clock.move(timedelta(seconds=int(reply.headers["Retry-After"])))
    assert (await world.ask("GET", "/status", token=unused)).status == 200


async def test_a_revoked_token_counts_as_a_guess_although_it_was_right_before(world: World) -> None:
    token_id, token = await world.tokens.create("old", "owner")
    assert (await world.ask("GET", "/status", token=token)).status == 200
    await world.tokens.revoke(token_id)
    statuses = [(await world.ask("GET", "/status", token=token)).status for _ in range(101)]
    assert statuses == [401] * 100 + [429]


async def test_unknown_addresses_and_methods_are_problems_for_those_who_may_ask(world: World) -> None:
    for path in ("/nothing", "", "/", "/communities/milk/keywords/abc", "/communities/milk/members/"):
        assert (await world.ask("GET", path)).word == "not_found", path
        assert (await world.ask("GET", path, token="")).word == "unauthorized", path
    reply = await world.ask("DELETE", "/communities/milk/ledger")
    assert reply.word == "method_not_allowed"
    assert set(reply.headers["Allow"].split(",")) == {"GET", "POST"}
    assert (await world.ask("DELETE", "/communities/milk/ledger", token="")).word == "unauthorized"


async def test_answers_are_neither_cached_nor_sniffed(world: World) -> None:
    for token in (world.owner, ""):
        reply = await world.ask("GET", "/status", token=token)
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
