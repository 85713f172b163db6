"""The chat page at ``/sandbox/`` and the JSON interface behind it, which tests and the terminal use too."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from bot.clock import from_ms
from bot.errors import RefusedError
from bot.sandbox.faults import Fault
from bot.sandbox.mishaps import let_happen
from bot.sandbox.room import Entry, Group, Person

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
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PICTURES = {b"\x89PNG\r\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
_HEARTBEAT_S = 15.0
_SNAPSHOT_ENTRIES = 100
_FAULT_FIELDS = frozenset(field.name for field in dataclass_fields(Fault))
_ACT_FIELDS = frozenset(
    {
        "channel", "user_id", "group", "wait", "at_ms", "msg_id", "text", "kind", "event", "fields",
        "mention", "quote",
    }
)  # fmt: skip
_CLICK_FIELDS = frozenset({"entry", "button_key", "selections", "user_id", "wait"})
_FEEDBACK_FIELDS = frozenset({"entry", "kind", "user_id", "content", "reasons", "wait"})
_GROUP_FIELDS = frozenset({"channel", "group", "name", "members"})
_MISHAP_FIELDS = frozenset({"channel", "name", "times", "delay_s"})
_LONGEST_GROUP_NAME = 50
_LONGEST_FEEDBACK = 500


@dataclass(frozen=True, slots=True)
class ClockMoved:
    """How far the platforms' clock stands from ours now, milliseconds."""

    clock_offset_ms: int


class Page:
    """Serves the chat page, its files and its interface for one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Read the files of the page once."""
        self._sandbox = sandbox
        self._moved_ms = {True: 0, False: 0}  # with and without what is signed
        package = files("bot.sandbox")
        self._html = (package / "templates" / "chat.html").read_bytes()
        self._files = {
            file.name: file.read_bytes() for file in (package / "static").iterdir() if _type(file.name)
        }

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
            web.get("/api/picture", self.picture),
            web.post("/api/click", self._json(self.click)),
            web.post("/api/feedback", self._json(self.feedback)),
            web.post("/api/members", self._json(self.add_member)),
            web.post("/api/groups", self._json(self.set_group)),
            web.post("/api/clock", self._json(self.move_clock)),
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
            body=self._files[name], content_type=_type(name), charset="utf-8", headers=_SECURITY_HEADERS
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
        # A page that has gone is noticed by writing to it.
        with suppress(ConnectionResetError), self._sandbox.feed.listen() as changes:
            await response.prepare(request)
            await response.write(_sse("snapshot", self._snapshot()))
            while True:
                try:
                    change = await asyncio.wait_for(changes.get(), _HEARTBEAT_S)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if change is None:
                    break
                await response.write(_change(change))
        return response

    async def state(self, _: web.Request) -> web.Response:
        """Return channels, people, counts and waiting faults."""
        rooms = self._sandbox.rooms.values()
        faults = self._sandbox.faults.waiting()
        channels = [{**_counted(room), "connected": self._is_connected(room)} for room in rooms]
        return _answer({"channels": channels, "faults": faults, "clock_offset_ms": self._offset_ms})

    async def transcript(self, request: web.Request) -> web.Response:
        """Return the transcript of ``?channel=&user_id=``, or of ``?channel=&group=``."""
        channel, user_id = request.query.get("channel", ""), request.query.get("user_id", "")
        try:
            entries = self._sandbox.transcript(channel, user_id, group=request.query.get("group", ""))
        except RefusedError as error:
            return _problem(404, str(error))
        return _answer({"entries": entries})

    async def picture(self, request: web.Request) -> web.Response:
        """Return the uploaded picture that the line ``?entry=`` shows."""
        try:
            line = self._sandbox.line(int(request.query.get("entry", "")))
        except (RefusedError, ValueError) as error:
            return _problem(404, str(error))
        media_id = str(line.fields.get("media_id", ""))
        medium = self._sandbox.media.find(line.channel, media_id, self._sandbox.clock.now_ms())
        kind = _picture_type(medium.blob) if medium else ""
        if medium is None or not kind:
            return _problem(404, "no picture is kept for this line")
        return web.Response(body=medium.blob, content_type=kind, headers=_SECURITY_HEADERS)

    async def say(self, body: dict[str, Any]) -> web.Response:
        """Send {channel, user_id, text | kind, fields, group?, mention?, quote?, at_ms?, msg_id?}.

        `group` is a chat id, `quote` the id of a line. With ``wait`` the outcome is answered, otherwise the
        entry that is under way.
        """
        channel, user_id, fields = _act(body)
        kind = str(body.get("kind", "text"))
        if "text" in body:
            fields = {"Content": str(body["text"]), **fields}
        where: dict[str, Any] = {
            "group": str(body.get("group", "")),
            "mention": body.get("mention", True) is True,
            "quote": None if body.get("quote") is None else int(body["quote"]),
        }
        if not body.get("wait"):
            entry = self._sandbox.start_message(channel, user_id, kind, fields, **where)
            return _answer({"entry": entry}, 202)
        msg_id = None if body.get("msg_id") is None else int(body["msg_id"])
        outcome = await self._sandbox.message(
            channel, user_id, kind, at=_at(body), msg_id=msg_id, **where, **fields
        )
        return _answer({"outcome": outcome})

    async def event(self, body: dict[str, Any]) -> web.Response:
        """Let {channel, user_id, event, fields?, group?, at_ms?} happen; with ``wait`` answer the outcome."""
        channel, user_id, fields = _act(body)
        event, group = str(body.get("event", "")), str(body.get("group", ""))
        if not event:
            raise RefusedError("event is missing")
        if not body.get("wait"):
            entry = self._sandbox.start_event(channel, user_id, event, fields, group=group)
            return _answer({"entry": entry}, 202)
        outcome = await self._sandbox.event(channel, user_id, event, at=_at(body), group=group, **fields)
        return _answer({"outcome": outcome})

    async def click(self, body: dict[str, Any]) -> web.Response:
        """Press {entry, button_key, selections?, user_id?} on a card; with ``wait`` answer the outcome."""
        _known(body, _CLICK_FIELDS)
        entry, selections = int(body.get("entry", 0)), body.get("selections") or {}
        if not isinstance(selections, dict) or not all(isinstance(ids, list) for ids in selections.values()):
            raise RefusedError("selections is an object of question keys and lists of option ids")
        key, user_id = str(body.get("button_key", "")), str(body.get("user_id", ""))
        if not body.get("wait"):
            started = self._sandbox.start_click(entry, key, user_id=user_id, selections=selections)
            return _answer({"entry": started}, 202)
        outcome = await self._sandbox.click(entry, key, user_id=user_id, selections=selections)
        return _answer({"outcome": outcome})

    async def feedback(self, body: dict[str, Any]) -> web.Response:
        """Judge the answer {entry, kind 1 | 2 | 3, user_id?, content?, reasons?} of an AI bot."""
        _known(body, _FEEDBACK_FIELDS)
        outcome = await self._sandbox.feedback(
            int(body.get("entry", 0)),
            int(body.get("kind", 1)),
            user_id=str(body.get("user_id", "")),
            content=str(body.get("content", ""))[:_LONGEST_FEEDBACK],
            reasons=tuple(int(reason) for reason in body.get("reasons", ())),
        )
        return _answer({"outcome": outcome})

    async def verify(self, body: dict[str, Any]) -> web.Response:
        """Test the callback address of {channel}."""
        return _answer({"verification": await self._sandbox.verify(str(body.get("channel", "")))})

    async def add_member(self, body: dict[str, Any]) -> web.Response:
        """Add, or rename, {channel, user_id, name}."""
        channel, user_id, _ = _act(body, extra=frozenset({"name"}))
        chat = self._sandbox.room(channel).chat(user_id, str(body.get("name", "")).strip()[:64])
        return _answer({"member": chat.person}, 201)

    async def set_group(self, body: dict[str, Any]) -> web.Response:
        """Make a group of {channel, name, members}, or with a known `group` change its name and members."""
        _known(body, _GROUP_FIELDS)
        channel, members = str(body.get("channel", "")), body.get("members")
        name = str(body.get("name", "")).strip()[:_LONGEST_GROUP_NAME]
        if (
            not name
            or not isinstance(members, list)
            or not all(isinstance(one, str) and one for one in members)
        ):
            raise RefusedError("name and members (a list of user ids) are needed")
        group_id = str(body.get("group") or f"wr{secrets.token_hex(8)}")
        known = self._sandbox.room(channel).groups.get(group_id)
        ids = list(dict.fromkeys(one for one in members if one))
        if known is None:
            return _answer({"group": self._sandbox.add_group(channel, group_id, name, ids)}, 201)
        if not ids:
            raise RefusedError("a group needs members")
        owner = known.group.owner if known.group.owner in ids else ids[0]
        changed = replace(known.group, name=name, members=tuple(ids), owner=owner)
        return _answer({"group": self._sandbox.room(channel).set_group(changed).group}, 201)

    async def add_fault(self, body: dict[str, Any]) -> web.Response:
        """Let something go wrong: {channel, name, times?, delay_s?} of `mishaps`, or a `Fault`'s fields."""
        if "name" in body:
            _known(body, _MISHAP_FIELDS)
            delay_s = body.get("delay_s")
            await let_happen(
                self._sandbox,
                str(body.get("channel", "")),
                str(body["name"]),
                times=int(body.get("times", 1)),
                delay_s=None if delay_s is None else float(delay_s),
            )
            return _answer({"faults": self._sandbox.faults.waiting()}, 201)
        unknown = body.keys() - _FAULT_FIELDS
        if unknown:
            raise RefusedError(f"a fault has no {', '.join(sorted(unknown))}")
        fault = Fault(**body)
        if fault.channel:
            self._sandbox.room(fault.channel)
        self._sandbox.faults.add(fault)
        return _answer({"faults": self._sandbox.faults.waiting()}, 201)

    async def move_clock(self, body: dict[str, Any]) -> web.Response:
        """Move the platforms' clock {by_s, stamps?} against ours, or {reset: true} it; answer the offset.

        With `stamps`, what people send is dated and signed by it too.
        """
        _known(body, frozenset({"by_s", "stamps", "reset"}))
        if body.get("reset") is True:
            for stamps, moved_ms in self._moved_ms.items():
                self._sandbox.move_clock(-moved_ms, stamps=stamps)
            self._moved_ms = dict.fromkeys(self._moved_ms, 0)
        else:
            by_ms, stamps = round(float(body.get("by_s", 0)) * 1000), body.get("stamps", True) is True
            self._sandbox.move_clock(by_ms, stamps=stamps)
            self._moved_ms[stamps] += by_ms
        self._sandbox.feed.tell(ClockMoved(self._offset_ms))
        return _answer({"clock_offset_ms": self._offset_ms})

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

    def _is_connected(self, room: Room) -> bool:
        """Whether a bot that must hold a connection holds one; true for all others."""
        channel = room.channel
        return channel.mode != "long_connection" or self._sandbox.connections.is_connected(channel.name)

    @property
    def _offset_ms(self) -> int:
        return sum(self._moved_ms.values())

    def _snapshot(self) -> dict[str, Any]:
        return {
            "clock_offset_ms": self._offset_ms,
            "channels": [
                {
                    **_shown(room),
                    "members": [chat.person for chat in room.chats.values()],
                    "groups": [chat.group for chat in room.groups.values()],
                    "entries": [
                        entry
                        for entries in _transcripts(room)
                        for entry in list(entries.values())[-_SNAPSHOT_ENTRIES:]
                    ],
                }
                for room in self._sandbox.rooms.values()
            ],
        }


def _act(body: Mapping[str, Any], extra: frozenset[str] = frozenset()) -> tuple[str, str, dict[str, Any]]:
    _known(body, _ACT_FIELDS | extra)
    channel, user_id, fields = body.get("channel", ""), body.get("user_id", ""), body.get("fields", {})
    if not isinstance(channel, str) or not isinstance(user_id, str) or not user_id.strip():
        raise RefusedError("channel and user_id are needed")
    if not isinstance(fields, dict):
        raise RefusedError("fields is an object of the vendor's fields")
    return channel, user_id.strip(), fields


def _known(body: Mapping[str, Any], fields: frozenset[str]) -> None:
    unknown = body.keys() - fields
    if unknown:
        raise RefusedError(f"unknown: {', '.join(sorted(unknown))}")


def _at(body: Mapping[str, Any]) -> datetime | None:
    at_ms = body.get("at_ms")
    return None if at_ms is None else from_ms(int(at_ms))


def _shown(room: Room) -> dict[str, Any]:
    channel = room.channel
    return {"name": channel.name, "kind": channel.kind, "mode": channel.mode, "bot_name": channel.bot_name}


def _transcripts(room: Room) -> list[dict[int, Entry]]:
    direct = [chat.entries for chat in room.chats.values()]
    return direct + [chat.entries for chat in room.groups.values()]


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
        "groups": [chat.group for chat in room.groups.values()],
        "calls": dict(room.calls),
        "errcodes": errcodes,
        "outcomes": dict(room.outcomes),
        "violations": dict(room.violations),
    }


def _change(change: object) -> bytes:
    if isinstance(change, Entry):
        return _sse("entry", change)
    if isinstance(change, ClockMoved):
        return _sse("clock", change)
    assert isinstance(change, tuple)
    channel, one = change
    if isinstance(one, Person):
        return _sse("member", {"channel": channel, "member": one})
    assert isinstance(one, Group)
    return _sse("group", {"channel": channel, "group": one})


def _picture_type(blob: bytes) -> str:
    return next((kind for start, kind in _PICTURES.items() if blob.startswith(start)), "")


def _type(name: str) -> str:
    return _TYPES.get(name[name.rfind(".") :], "")


def _sse(event: str, data: Any) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def _answer(data: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(data), content_type="application/json")


def _problem(status: int, detail: str) -> web.Response:
    body = orjson.dumps({"status": status, "title": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")
