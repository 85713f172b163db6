"""The chat page at ``/sandbox/`` and the JSON interface behind it, which tests and the terminal use too."""

from __future__ import annotations

import asyncio
from dataclasses import fields as dataclass_fields
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from bot.clock import from_ms
from bot.errors import RefusedError
from bot.sandbox.faults import Fault
from bot.sandbox.room import Entry, Person

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from aiohttp.typedefs import Handler

    from bot.sandbox.room import Room
    from bot.sandbox.vendor import Sandbox

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_STATIC = {"chat.css": "text/css", "chat.js": "text/javascript", "icon.svg": "image/svg+xml"}
_HEARTBEAT_S = 15.0
_SNAPSHOT_ENTRIES = 100
_FAULT_FIELDS = frozenset(field.name for field in dataclass_fields(Fault))
_ACT_FIELDS = frozenset({"channel", "user_id", "wait", "at_ms", "msg_id", "text", "kind", "event", "fields"})


class Page:
    """Serves the chat page, its files and its interface for one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Read the files of the page once."""
        self._sandbox = sandbox
        package = files("bot.sandbox")
        self._html = (package / "templates" / "chat.html").read_bytes()
        self._files = {name: (package / "static" / name).read_bytes() for name in _STATIC}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, below ``/sandbox``."""
        return [
            web.get("/", self.show),
            web.get("/static/{name}", self.file),
            web.get("/api/stream", self.stream),
            web.get("/api/state", self.state),
            web.get("/api/transcript", self.transcript),
            web.post("/api/say", self._json(self.say)),
            web.post("/api/event", self._json(self.event)),
            web.post("/api/verify", self._json(self.verify)),
            web.post("/api/members", self._json(self.add_member)),
            web.post("/api/faults", self._json(self.add_fault)),
            web.delete("/api/faults", self.clear_faults),
            web.post("/api/tokens", self._json(self.spoil_tokens)),
        ]

    async def show(self, _: web.Request) -> web.Response:
        """Return the chat page."""
        return web.Response(
            body=self._html, content_type="text/html", charset="utf-8", headers=_SECURITY_HEADERS
        )

    async def file(self, request: web.Request) -> web.Response:
        """Return one file of the page."""
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound
        return web.Response(
            body=self._files[name], content_type=_STATIC[name], charset="utf-8", headers=_SECURITY_HEADERS
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send everything known, then every change, as server-sent events until either side ends it."""
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        with self._sandbox.feed.listen() as changes:
            await response.write(_sse("snapshot", self._snapshot()))
            while True:
                try:
                    change = await asyncio.wait_for(changes.get(), _HEARTBEAT_S)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if change is None:
                    return response
                await response.write(_change(change))

    async def state(self, _: web.Request) -> web.Response:
        """Return channels, people, counts and waiting faults."""
        rooms = self._sandbox.rooms.values()
        faults = self._sandbox.faults.waiting()
        return _answer({"channels": [_counted(room) for room in rooms], "faults": faults})

    async def transcript(self, request: web.Request) -> web.Response:
        """Return the transcript of ``?channel=&user_id=``."""
        channel, user_id = request.query.get("channel", ""), request.query.get("user_id", "")
        try:
            entries = self._sandbox.transcript(channel, user_id)
        except RefusedError as error:
            return _problem(404, str(error))
        return _answer({"entries": entries})

    async def say(self, body: dict[str, Any]) -> web.Response:
        """Send {channel, user_id, text | kind, fields, at_ms?, msg_id?}; with ``wait`` answer the outcome."""
        channel, user_id, fields = _act(body)
        kind = str(body.get("kind", "text"))
        if "text" in body:
            fields = {"Content": str(body["text"]), **fields}
        if not body.get("wait"):
            return _answer({"entry": self._sandbox.start_message(channel, user_id, kind, fields)}, 202)
        msg_id = None if body.get("msg_id") is None else int(body["msg_id"])
        outcome = await self._sandbox.message(channel, user_id, kind, at=_at(body), msg_id=msg_id, **fields)
        return _answer({"outcome": outcome})

    async def event(self, body: dict[str, Any]) -> web.Response:
        """Let {channel, user_id, event, fields?, at_ms?} happen; with ``wait`` answer the outcome."""
        channel, user_id, fields = _act(body)
        event = str(body.get("event", ""))
        if not event:
            raise RefusedError("event is missing")
        if not body.get("wait"):
            return _answer({"entry": self._sandbox.start_event(channel, user_id, event, fields)}, 202)
        outcome = await self._sandbox.event(channel, user_id, event, at=_at(body), **fields)
        return _answer({"outcome": outcome})

    async def verify(self, body: dict[str, Any]) -> web.Response:
        """Test the callback address of {channel}."""
        return _answer({"verification": await self._sandbox.verify(str(body.get("channel", "")))})

    async def add_member(self, body: dict[str, Any]) -> web.Response:
        """Add, or rename, {channel, user_id, name}."""
        channel, user_id, _ = _act(body, extra=frozenset({"name"}))
        chat = self._sandbox.room(channel).chat(user_id, str(body.get("name", "")).strip()[:64])
        return _answer({"member": chat.person}, 201)

    async def add_fault(self, body: dict[str, Any]) -> web.Response:
        """Let an API call go wrong; the fields are those of `Fault`."""
        unknown = body.keys() - _FAULT_FIELDS
        if unknown:
            raise RefusedError(f"a fault has no {', '.join(sorted(unknown))}")
        fault = Fault(**body)
        if fault.channel:
            self._sandbox.room(fault.channel)
        self._sandbox.faults.add(fault)
        return _answer({"faults": self._sandbox.faults.waiting()}, 201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Make every API call work again."""
        self._sandbox.faults.clear()
        return _answer({"faults": []})

    async def spoil_tokens(self, body: dict[str, Any]) -> web.Response:
        """Withdraw or expire every token of {channel, action: withdraw | expire}."""
        channel = self._sandbox.room(str(body.get("channel", ""))).channel.name
        actions = {"withdraw": self._sandbox.tokens.withdraw, "expire": self._sandbox.tokens.expire}
        action = actions.get(str(body.get("action", "")))
        if action is None:
            raise RefusedError("action is withdraw or expire")
        return _answer({"tokens": action(channel)})

    def _json(self, act: Callable[[dict[str, Any]], Awaitable[web.Response]]) -> Handler:
        """Return a handler that reads a JSON object for `act` and answers its refusals with 422."""

        async def handle(request: web.Request) -> web.StreamResponse:
            # A page of another origin cannot send this type without asking first.
            if request.content_type != "application/json":
                return _problem(415, "send application/json")
            try:
                body = orjson.loads(await request.read())
            except orjson.JSONDecodeError:
                return _problem(400, "not JSON")
            if not isinstance(body, dict):
                return _problem(400, "not a JSON object")
            try:
                return await act(body)
            except (RefusedError, ValueError, TypeError, OverflowError) as error:
                return _problem(422, str(error))

        return handle

    def _snapshot(self) -> dict[str, Any]:
        return {
            "channels": [
                {
                    **_shown(room),
                    "members": [chat.person for chat in room.chats.values()],
                    "entries": [
                        entry
                        for chat in room.chats.values()
                        for entry in list(chat.entries.values())[-_SNAPSHOT_ENTRIES:]
                    ],
                }
                for room in self._sandbox.rooms.values()
            ]
        }


def _act(body: Mapping[str, Any], extra: frozenset[str] = frozenset()) -> tuple[str, str, dict[str, Any]]:
    unknown = body.keys() - _ACT_FIELDS - extra
    if unknown:
        raise RefusedError(f"unknown: {', '.join(sorted(unknown))}")
    channel, user_id, fields = body.get("channel", ""), body.get("user_id", ""), body.get("fields", {})
    if not isinstance(channel, str) or not isinstance(user_id, str) or not user_id.strip():
        raise RefusedError("channel and user_id are needed")
    if not isinstance(fields, dict):
        raise RefusedError("fields is an object of the vendor's fields")
    return channel, user_id.strip(), fields


def _at(body: Mapping[str, Any]) -> datetime | None:
    at_ms = body.get("at_ms")
    return None if at_ms is None else from_ms(int(at_ms))


def _shown(room: Room) -> dict[str, Any]:
    return {"name": room.channel.name, "kind": room.channel.kind, "mode": room.channel.mode}


def _counted(room: Room) -> dict[str, Any]:
    errcodes: dict[str, dict[str, int]] = {}
    for (endpoint, errcode), count in room.errcodes.items():
        errcodes.setdefault(endpoint, {})[str(errcode)] = count
    return {
        **_shown(room),
        "members": [
            {"id": chat.person.id, "name": chat.person.name, "follows": chat.follows}
            for chat in room.chats.values()
        ],
        "calls": dict(room.calls),
        "errcodes": errcodes,
        "outcomes": dict(room.outcomes),
    }


def _change(change: object) -> bytes:
    if isinstance(change, Entry):
        return _sse("entry", change)
    assert isinstance(change, tuple)
    channel, person = change
    assert isinstance(person, Person)
    return _sse("member", {"channel": channel, "member": person})


def _sse(event: str, data: Any) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def _answer(data: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(data), content_type="application/json")


def _problem(status: int, detail: str) -> web.Response:
    body = orjson.dumps({"status": status, "title": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")
