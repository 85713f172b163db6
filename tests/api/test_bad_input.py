"""Whatever comes in, the answer is a problem the caller can understand, never a fault of ours."""

from __future__ import annotations

import gzip
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import orjson

from bot.api.endpoint import Endpoint
from bot.api.routes import ENDPOINTS
from bot.storage.redis.embedded import EmbeddedRedis
from bot.storage.sql.pages import encode_cursor
from tests.api.requests import RULE
from tests.api.world import Reply, World, close_world, open_world

JSON = "application/json"
WITH_BODY = [endpoint for endpoint in ENDPOINTS if endpoint.takes_body]


def path_of(endpoint: Endpoint, **values: str) -> str:
    """Return the endpoint's address with something in every place."""
    path = endpoint.path
    names = {
        "community": "milk",
        "member": "app:ana",
        "entry": "00-1-0",
        "rule": "1",
        "delivery": "d",
        "round": "0123456789abcdef",
        "group": "app:g",
        **values,
    }
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    return path


async def test_broken_bodies_are_told_from_wrong_ones(world: World) -> None:
    cases: list[tuple[bytes, str]] = [
        (b"", "undecodable"),
        (b"{", "undecodable"),
        (b"\xff\xfe", "undecodable"),
        (b'{"member": "\\ud800"}', "undecodable"),
        (b"NaN", "undecodable"),
        (b"[" * 100_000, "undecodable"),
        (b'{"a":' * 5000, "undecodable"),
        (b"1e999", "undecodable"),
        (b"null", "invalid"),
        (b"[]", "invalid"),
        (b'"text"', "invalid"),
        (b"1" * 400, "undecodable"),
        (b'{"delta": 1e300}', "invalid"),
        (b'{"": "", "\\u0000": 1}', "invalid"),
        (b"[" * 500 + b"]" * 500, "invalid"),
    ]
    for endpoint in WITH_BODY:
        if (
            endpoint.path.endswith(("/import", "/media"))
            or "{rule}" in endpoint.path
            or "{entry}" in endpoint.path
        ):
            continue  # files have tests of their own; the others look for what is named first
        for data, word in cases:
            reply = await world.ask(
                endpoint.method, path_of(endpoint), data=data, headers={"Content-Type": JSON}
            )
            assert reply.word == word or is_number_too_large(data, reply), (endpoint.path, data[:40], reply)


def is_number_too_large(data: bytes, reply: Reply) -> bool:
    """JSON sets no limit to numbers: whether one can be read is the parser's affair."""
    return data[:1].isdigit() and reply.word in {"undecodable", "invalid"}


async def test_only_json_is_taken_as_json(world: World) -> None:
    body = orjson.dumps({"member": "app:ana", "delta": 1, "request_id": "r"})
    path = "/communities/milk/ledger"
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json", ";"):
        reply = await world.ask("POST", path, data=body, headers={"Content-Type": content_type})
        assert reply.word == "unsupported_media_type", content_type
    taken = await world.ask(
        "POST", path, data=body, headers={"Content-Type": "Application/JSON; charset=utf-8"}
    )
    assert taken.status == 201


async def test_compressed_and_chunked_bodies_are_read_and_broken_or_huge_ones_refused(world: World) -> None:
    path = "/communities/milk/keywords"
    zipped = {"Content-Type": JSON, "Content-Encoding": "gzip"}
    packed = gzip.compress(orjson.dumps(RULE))
    assert (await world.ask("POST", path, data=packed, headers=zipped)).status == 201
    assert (await world.ask("POST", path, data=b"no gzip at all", headers=zipped)).word == "undecodable"
    bomb = gzip.compress(b" " * (64 << 20))
    assert (await world.ask("POST", path, data=bomb, headers=zipped)).word == "too_large"

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * (1 << 16)

    assert (await world.ask("POST", path, data=endless(), headers={"Content-Type": JSON})).word == "too_large"


async def test_wrong_parameters_are_named_all_at_once(world: World) -> None:
    cases = {
        "?limit=0": ["limit"],
        "?limit=201&cursor=x&foo=1": ["foo", "limit"],
        "?limit=1e3": ["limit"],
        "?limit=" + "9" * 5000: ["limit"],
        "?limit=1&limit=2": ["limit"],
        "?cursor=%00": ["cursor"],
        "?cursor=" + "A" * 4001: ["cursor"],
        "?memb=x": ["memb"],
        "?since=2026-13-01T00:00:00Z&until=now": ["since", "until"],
        "?since=2026-01-01": ["since"],
        "?member=" + "x" * 600: ["member"],
    }
    for query, paths in cases.items():
        reply = await world.ask("GET", f"/communities/milk/ledger{query}")
        assert (reply.word, sorted(reply.flaws)) == ("invalid", paths), query
    assert (await world.ask("GET", "/communities/milk/ledger?limit=&cursor=&member=")).status == 200


async def test_no_cursor_of_another_list_or_of_nobody_is_more_than_a_wrong_field(world: World) -> None:
    cursors = [
        "x", "====", "%F0%9F", "W10", "bnVsbA", "W1tdXQ", encode_cursor("a"), encode_cursor(1),
        encode_cursor(2**63), encode_cursor(-1), encode_cursor(1, 2, "\0"), encode_cursor("a\0"),
        encode_cursor(1, "d"), urlsafe_b64encode(b"[%d]" % 2**70).decode(),
    ]  # fmt: skip
    for endpoint in ENDPOINTS:
        if "cursor" in endpoint.query.model_fields:
            for cursor in cursors:
                reply = await world.ask("GET", f"{path_of(endpoint)}?cursor={cursor}")
                assert reply.status == 200 or list(reply.flaws) == ["cursor"], (endpoint.path, cursor, reply)


async def test_instants_far_away_are_only_far_away(world: World) -> None:
    await world.say("ana", "签到")
    for since, count in (
        ("0001-01-01T00:00:00%2B14:00", 1),
        ("9999-12-31T23:59:59-14:00", 0),
        ("1900-01-01T00:00:00Z", 1),
    ):
        reply = await world.ask("GET", f"/communities/milk/ledger?since={since}")
        assert (reply.status, len(reply.body["items"])) == (200, count), since


async def test_a_store_that_is_away_is_said_so_with_when_to_try_again(
    tmp_path: Path, database_url: str
) -> None:
    with EmbeddedRedis.start(tmp_path / "redis") as store:
        world = await open_world(store.url, database_url)
    for path in ("/communities/milk/ledger", "/communities/milk/members/app:ana", "/deliveries"):
        reply = await world.get(path)
        assert (reply.status, reply.word) == (503, "store_away"), path
        assert int(reply.headers["Retry-After"]) > 0
    order = {"member": "app:ana", "delta": 1, "request_id": "r"}
    assert (await world.post("/communities/milk/ledger", order)).word == "store_away"
    status = await world.get("/status")
    assert (status.status, status.body["redis"]["state"], status.body["sql"]["state"]) == (200, "away", "ok")
    assert (await world.get("/communities/milk/keywords")).status == 200, "which needs no Redis"
    await close_world(world)
