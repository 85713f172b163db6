"""The vendors' API that the bot calls, at ``/cgi-bin/…``: tokens, sends, error codes, faults on demand.

One address serves every channel, as the paths of the two vendors differ: a token is fetched by corp or
app id, everything else names its channel by its token.

Source: WeCom, access_token and message/send; Official Account, access_token and customer-service messages.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import BodyPartReader, web

from bot.sandbox.app_groups import create_group, get_group, send_to_group, update_group
from bot.sandbox.bot_calls import answer_response_url, media_response, room_of_code
from bot.sandbox.media import MOST_BYTES
from bot.sandbox.robot import send_by_robot, upload_by_robot
from bot.sandbox.sends import send_app_message, send_custom_message, update_app_card
from bot.sandbox.tokens import VendorError
from bot.sandbox.uploads import take_upload
from bot.sandbox.vendor_call import Upload, VendorCall, entitled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bot.sandbox.channel import Kind
    from bot.sandbox.faults import Fault
    from bot.sandbox.room import Room
    from bot.sandbox.vendor import Sandbox

_HANG_S = 600.0  # longer than any client waits; it goes with the client before
_UPLOAD_TYPES = frozenset({"image", "voice", "video", "file"})
_UPLOAD_LIMIT_BYTES = max(MOST_BYTES.values())
# A robot has a rate of its own, and an answer's address is good once.
_OUTSIDE_CALL_RATE = frozenset({"webhook/send", "aibot/response"})
_BAD_PARAMETERS = frozenset({40004, 40006, 40007, 40008, 40056, 40058, 44004, 45008, 47001})
_BLOCK_MS = 3_600_000
_BODY_LIMIT_BYTES = 4 * 1024 * 1024


def _gettoken(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    room = _owner(sandbox, "wecom_app", call.query.get("corpid", ""), call.query.get("corpsecret", ""), 40001)
    token, expires_in = sandbox.tokens.app_token(room.channel.name)
    return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": expires_in}


def _token(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    if call.query.get("grant_type") != "client_credential":
        raise VendorError(40002, "invalid grant_type")
    room = _owner(sandbox, "wechat_oa", call.query.get("appid", ""), call.query.get("secret", ""), 40125)
    token, expires_in = sandbox.tokens.plain_token(room.channel.name)
    return {"access_token": token, "expires_in": expires_in}


def _stable_token(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    if call.body.get("grant_type") != "client_credential":
        raise VendorError(40002, "invalid grant_type")
    app_id, secret = str(call.body.get("appid", "")), str(call.body.get("secret", ""))
    room = _owner(sandbox, "wechat_oa", app_id, secret, 40125)
    force = call.body.get("force_refresh") is True
    token, expires_in = sandbox.tokens.stable_token(room.channel.name, force=force)
    return {"access_token": token, "expires_in": expires_in}


def _app_send(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    return send_app_message(sandbox, entitled(sandbox, call, "wecom_app"), call.body)


def _custom_send(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    return send_custom_message(sandbox, entitled(sandbox, call, "wechat_oa"), call.body)


def _followers(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    room = entitled(sandbox, call, "wechat_oa")
    openids = [user_id for user_id, chat in room.chats.items() if chat.follows]
    after = call.query.get("next_openid", "")
    start = openids.index(after) + 1 if after in openids else 0
    page = openids[start : start + 10_000]
    return {
        "total": len(openids),
        "count": len(page),
        "data": {"openid": page},
        "next_openid": page[-1] if page else "",
    }


def _update_card(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    return update_app_card(sandbox, entitled(sandbox, call, "wecom_app"), call.body)


def _media_upload(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    return take_upload(sandbox, call, entitled(sandbox, call, "wecom_app", "wechat_oa"), _UPLOAD_TYPES)


def _response_url(sandbox: Sandbox, call: VendorCall) -> dict[str, Any]:
    channel = call.room.channel.name if call.room else ""
    return answer_response_url(sandbox, channel, call.query.get("response_code", ""), call.body)


_ENDPOINTS: Mapping[str, tuple[str, Callable[[Sandbox, VendorCall], dict[str, Any]]]] = {
    "gettoken": ("GET", _gettoken),
    "token": ("GET", _token),
    "stable_token": ("POST", _stable_token),
    "message/send": ("POST", _app_send),
    "message/custom/send": ("POST", _custom_send),
    "user/get": ("GET", _followers),
    "media/upload": ("POST", _media_upload),
    "message/update_template_card": ("POST", _update_card),
    "appchat/create": ("POST", create_group),
    "appchat/update": ("POST", update_group),
    "appchat/get": ("GET", get_group),
    "appchat/send": ("POST", send_to_group),
    "webhook/send": ("POST", send_by_robot),
    "webhook/upload_media": ("POST", upload_by_robot),
    "aibot/response": ("POST", _response_url),
}


class VendorApi:
    """Answers every call below ``/cgi-bin/`` and counts it."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Serve the channels of `sandbox`."""
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, below ``/cgi-bin``."""
        return [
            web.get("/aibot/media/{name}", self.media),
            web.route("*", "/{endpoint:.+}", self.answer),
        ]

    async def media(self, request: web.Request) -> web.StreamResponse:
        """Return what a person sent to an AI bot, or what a waiting fault demands."""
        name, endpoint = request.match_info["name"], "aibot/media"
        channel = self._sandbox.media.owner(name)
        room = self._sandbox.rooms.get(channel)
        call = VendorCall("GET", endpoint, {}, {}, None, room)
        if room is not None:
            room.calls[endpoint] += 1
        fault = await self._sandbox.faults.meet(channel, endpoint)
        if fault is not None and fault.breaks:
            return await self._spoil(request, call, fault)
        response = media_response(self._sandbox, name)
        self._count(call, 0 if response.status == 200 else response.status)
        return response

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one call as the vendor would, or as a waiting fault demands."""
        call, problem = await self._read(request)
        channel = call.room.channel.name if call.room else ""
        fault = await self._sandbox.faults.meet(channel, call.endpoint)
        if fault is not None and fault.breaks and not fault.acted:
            return await self._spoil(request, call, fault)
        try:
            if problem is not None:
                raise problem
            result = self._act(call)
        except VendorError as error:
            result = {"errcode": error.errcode, "errmsg": error.errmsg}
            if call.room is not None:
                self._count_mistake(call.endpoint, call.room, error)
        if fault is not None and fault.breaks:
            return await self._spoil(request, call, fault)
        self._count(call, result.get("errcode", 0))
        return _json(result)

    async def _read(self, request: web.Request) -> tuple[VendorCall, VendorError | None]:
        query = dict(request.query)
        body: dict[str, Any] = {}
        upload, problem = None, None
        if request.method == "POST":
            try:
                if request.content_type.startswith("multipart/"):
                    upload = await _form_file(request)
                else:
                    body = await _json_body(request)
            except VendorError as error:
                problem = error
        endpoint = request.match_info["endpoint"]
        call = VendorCall(request.method, endpoint, query, body, upload, self._room(query, body))
        if call.room is not None:
            call.room.calls[endpoint] += 1
        return call, problem

    def _room(self, query: Mapping[str, str], body: Mapping[str, Any]) -> Room | None:
        rooms = self._sandbox.rooms
        by_token = self._sandbox.tokens.channel_of(query.get("access_token", ""))
        if by_token:
            return rooms[by_token]
        if by_code := room_of_code(self._sandbox, query.get("response_code", "")):
            return rooms[by_code]
        if key := query.get("key"):
            return next((room for room in rooms.values() if _is_robot(room, key)), None)
        receiver = str(query.get("corpid") or query.get("appid") or body.get("appid") or "")
        secret = str(query.get("corpsecret") or query.get("secret") or body.get("secret") or "")
        same = [room for room in rooms.values() if receiver and room.channel.receiver_id == receiver]
        return next((room for room in same if room.channel.secret == secret), same[0] if same else None)

    def _act(self, call: VendorCall) -> dict[str, Any]:
        if call.endpoint not in _ENDPOINTS:
            raise VendorError(40066, "invalid url")
        method, act = _ENDPOINTS[call.endpoint]
        if call.method != method:
            raise VendorError(43001 if method == "GET" else 43002, f"require {method} method")
        if call.room is not None and call.room.blocked_until_ms > self._sandbox.clock.now_ms():
            raise VendorError(45009, "blocked for too many calls with bad parameters", "bad_calls_per_hour")
        if call.room is not None and call.endpoint not in _OUTSIDE_CALL_RATE:
            over = call.room.call_rate(call.endpoint).over(self._sandbox.clock.now_ms())
            if over:
                raise VendorError(45009, "api freq out of limit", f"calls_{over}")
        return act(self._sandbox, call)

    async def _spoil(self, request: web.Request, call: VendorCall, fault: Fault) -> web.StreamResponse:
        if fault.errcode is not None:
            self._count(call, fault.errcode)
            return _json({"errcode": fault.errcode, "errmsg": fault.errmsg})
        if fault.http_status is not None:
            return web.Response(
                status=fault.http_status, text="<html>sandbox fault</html>", content_type="text/html"
            )
        if fault.hang:
            await asyncio.sleep(_HANG_S)
        if fault.drop or fault.hang:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()  # goes nowhere: the connection is gone
        return web.Response(body=b'{"errcode":0,"errmsg":', content_type="application/json", charset="utf-8")

    def _count_mistake(self, endpoint: str, room: Room, error: VendorError) -> None:
        """Count a limit, and block a company that calls with bad parameters again and again."""
        if error.limit:
            room.violate(f"{endpoint}:{error.limit}")
        now_ms = self._sandbox.clock.now_ms()
        is_bad = error.errcode in _BAD_PARAMETERS and room.channel.kind == "wecom_app"
        if is_bad and room.bad_calls.over(now_ms):
            room.blocked_until_ms = now_ms + _BLOCK_MS

    def _count(self, call: VendorCall, errcode: int) -> None:
        if call.room is not None:
            call.room.errcodes[call.endpoint, errcode] += 1


def _owner(sandbox: Sandbox, kind: Kind, receiver_id: str, secret: str, wrong_secret: int) -> Room:
    """Return the channel that id and secret belong to."""
    same = [
        room
        for room in sandbox.rooms.values()
        if room.channel.kind == kind and room.channel.receiver_id == receiver_id
    ]
    if not same:
        raise VendorError(40013, "invalid corpid" if kind == "wecom_app" else "invalid appid")
    for room in same:
        known = room.channel.secret
        if known and hmac.compare_digest(known.encode(), secret.encode()):
            return room
    raise VendorError(wrong_secret, "invalid credential" if kind == "wecom_app" else "invalid appsecret")


def _is_robot(room: Room, key: str) -> bool:
    own = room.channel
    return own.kind == "wecom_robot" and hmac.compare_digest(own.secret.encode(), key.encode())


async def _form_file(request: web.Request) -> Upload | None:
    """Return the file ``media`` of a form, None for a form without one.

    Raises:
        VendorError: 40006 larger than any type may be.
    """
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name != "media":
                continue
            blob = bytearray()
            while chunk := await part.read_chunk():
                blob += chunk
                if len(blob) > _UPLOAD_LIMIT_BYTES:
                    raise VendorError(40006, "invalid media size", "media_bytes")
            return Upload(part.filename or "", bytes(blob))
    except (ValueError, AssertionError) as error:  # what the reader makes of a broken form
        raise VendorError(47001, "data format error") from error
    return None


async def _json_body(request: web.Request) -> dict[str, Any]:
    raw = await request.content.read(_BODY_LIMIT_BYTES)
    while not request.content.at_eof() and len(raw) < _BODY_LIMIT_BYTES:
        raw += await request.content.read(_BODY_LIMIT_BYTES - len(raw))
    if not raw:
        raise VendorError(44002, "empty post data")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise VendorError(47001, "data format error") from error
    if not isinstance(body, dict):
        raise VendorError(47001, "data format error")
    return body


def _json(result: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(result), content_type="application/json", charset="utf-8")
