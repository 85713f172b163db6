"""Anything at all, by chance: the answer is a success or a problem below 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.api.endpoint import Endpoint
from bot.api.routes import ENDPOINTS
from tests.api.requests import RULE
from tests.api.test_bad_input import JSON, WITH_BODY, path_of
from tests.api.world import Reply, World, close_world, open_world

Ask = Callable[[Coroutine[Any, Any, Reply]], Reply]

_text = st.text(max_size=40) | st.sampled_from(
    ["app:ana", "\0", "\ud800", "../..", "%", "a" * 700, "-1", "NaN", "2026-03-02T12:00:00Z", "milk"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)
_quoted = st.binary(max_size=20).map(lambda data: quote(data, safe="")) | _text.map(
    lambda text: quote(text.encode("utf-8", "surrogatepass"), safe="")
)
_names = st.sampled_from(
    ["cursor", "limit", "member", "reason", "since", "until", "prefix", "state", "community"]
)
_many = settings(
    max_examples=150,
    deadline=None,
    database=None,
)


@pytest.fixture
def running(redis_url: str, database_url: str) -> Iterator[tuple[World, Ask]]:
    """One world for many examples, and a way to wait for its answers."""
    with asyncio.Runner() as runner:
        world = runner.run(open_world(redis_url, database_url))
        yield world, runner.run
        runner.run(close_world(world))


def check(reply: Reply) -> None:
    assert reply.status < 300 or (reply.status < 500 and reply.word), reply


def _fields(endpoint: Endpoint) -> list[str]:
    """Return names that mean something to the endpoint, so that a guess gets further than the first check."""
    model = endpoint.body or endpoint.body_types.get(JSON)
    return list(model.model_fields) if isinstance(model, type) else list(RULE)


@st.composite
def _requests(draw: st.DrawFn) -> tuple[Endpoint, bytes]:
    endpoint = draw(st.sampled_from(WITH_BODY))
    form = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(_fields(endpoint), _json)) | _json)
    if endpoint.path.endswith("/import"):
        form = [form]
    return endpoint, json.dumps(form).encode()


def test_no_body_breaks_anything(running: tuple[World, Ask]) -> None:
    world, ask = running
    rule = ask(world.post("/communities/milk/keywords", RULE)).body["id"]
    order = {"member": "app:ana", "delta": 9, "request_id": "x"}
    entry = ask(world.post("/communities/milk/ledger", order)).body["id"]

    @_many
    @given(request=_requests())
    def send(request: tuple[Endpoint, bytes]) -> None:
        endpoint, data = request
        path = path_of(endpoint, rule=str(rule), entry=entry)
        check(ask(world.ask(endpoint.method, path, data=data, headers={"Content-Type": JSON})))

    send()


def test_no_query_breaks_anything(running: tuple[World, Ask]) -> None:
    world, ask = running
    listing = [endpoint for endpoint in ENDPOINTS if endpoint.method == "GET"]

    @_many
    @given(endpoint=st.sampled_from(listing), query=st.dictionaries(_names | _quoted, _quoted, max_size=3))
    def send(endpoint: Endpoint, query: dict[str, str]) -> None:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        check(ask(world.ask("GET", f"{path_of(endpoint)}?{text}")))

    send()


def test_no_path_breaks_anything(running: tuple[World, Ask]) -> None:
    world, ask = running

    @_many
    @given(endpoint=st.sampled_from(ENDPOINTS), value=_quoted)
    def send(endpoint: Endpoint, value: str) -> None:
        path = path_of(
            endpoint, member=value, entry=value, rule=value, delivery=value, group=value, round=value
        )
        check(ask(world.ask(endpoint.method, path, json={})))
        check(ask(world.ask(endpoint.method, path_of(endpoint, community=value), json={})))

    send()
