"""A small stand-in for both vendors' APIs: tokens, sends, limits, and what can go wrong with a call."""

from __future__ import annotations

import asyncio
import email.message
import email.policy
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

from bot.clock import Clock
from bot.delivery.routes import Rate, Scope, channel_abilities

ABILITIES = {
    "app": channel_abilities("wecom_app"),
    "oa": channel_abilities("wechat_oa"),
    "robot": channel_abilities("wecom_robot"),
}
ROBOT_KEY = "the-key-of-the-robot"
SECRET = "the-secret-of-the-account"
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
# What the vendor documents for a member and for a company, written down a second time.
WECOM_LIMITS = (
    Rate(30, _MINUTE_MS),
    Rate(1000, _HOUR_MS),
    Rate(10_000, _MINUTE_MS, Scope.CHANNEL),
    Rate(150_000, _HOUR_MS, Scope.CHANNEL),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one send; `acted`: the message is accepted all the same.

    `kill`: there is no answer, and whoever sends is to die.
    """

    errcode: int = 0
    status: int = 200
    raw: bytes = b""
    drop: bool = False
    acted: bool = False
    kill: bool = False
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    """One message that reached a person."""

    user_id: str
    kind: str
    body: dict[str, Any]
    at_ms: int
    whole: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.body.get("content", ""))


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One file that was uploaded; `account` is the robot's key or empty."""

    media_id: str
    kind: str
    content: bytes
    content_type: str
    file_name: str
    account: str
    form: bytes = field(repr=False)


class FakeVendor:
    """Serves on loopback what our clients call: tokens, sends, robots, an app's groups, uploads.

    A group is written to as if its chat were a person, until its client has a call of its own.
    """

    def __init__(self, clock: Clock, *, limits: tuple[Rate, ...] = WECOM_LIMITS) -> None:
        self.clock = clock
        self.limits = limits  # of an app; what is above is dropped without a word, and counted here
        self._arrivals: dict[tuple[Rate, str], deque[int]] = {}
        self.received: list[Received] = []
        self.over_rate: list[Received] = []
        self.duplicates: list[Received] = []
        self.faults: deque[Fault] = deque()
        self.calls: Counter[str] = Counter()
        self.forced = 0
        self.valid: set[str] = set()
        self.token = ""
        self.expires_in_s = 7200
        self.token_delay_s = 0.0
        self.token_answer: Fault | None = None
        self.no_stable_token: web.Response | None = None
        self.hold: asyncio.Event | None = None  # sends of hold_text wait for it after they were accepted
        self.hold_text = ""
        self.hold_uploads: asyncio.Event | None = None
        self.upload_begun = asyncio.Event()
        self.answer_delay_s = 0.0  # between accepting a send and answering it
        self.held = asyncio.Event()
        self.killed = asyncio.Event()  # whoever sends is to die now
        self.at_once = 0
        self.most_at_once = 0
        self.base = ""
        self.uploads: dict[str, Uploaded] = {}
        self.no_media_id = False
        self.chats: dict[str, dict[str, Any]] = {}
        self.to_groups: list[dict[str, Any]] = []  # what appchat/send and webhook/send accepted
        self.redirect_to = ""
        self._issued = 0
        self._said: dict[tuple[str, bytes], int] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 << 20)
        app.router.add_get("/cgi-bin/gettoken", self._wecom_token)
        app.router.add_get("/cgi-bin/token", self._wechat_token)
        app.router.add_post("/cgi-bin/stable_token", self._stable_token)
        app.router.add_post("/cgi-bin/message/send", self._send)
        app.router.add_post("/cgi-bin/message/custom/send", self._send)
        app.router.add_post("/cgi-bin/media/upload", self._upload)
        app.router.add_post("/cgi-bin/webhook/upload_media", self._upload)
        app.router.add_post("/cgi-bin/webhook/send", self._send_by_robot)
        app.router.add_post("/cgi-bin/appchat/create", self._create_chat)
        app.router.add_post("/cgi-bin/appchat/update", self._update_chat)
        app.router.add_get("/cgi-bin/appchat/get", self._get_chat)
        app.router.add_post("/cgi-bin/appchat/send", self._send_to_chat)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def texts(self, user_id: str) -> list[str]:
        return [message.text for message in self.received if message.user_id == user_id]

    def forget(self) -> None:
        """Start anew, but for the tokens."""
        for known in (
            self.received,
            self.over_rate,
            self.duplicates,
            self.faults,
            self._said,
            self._arrivals,
        ):
            known.clear()

    def withdraw(self) -> None:
        """Make every token that was given out invalid."""
        self.valid.clear()
        self.token = ""

    # ------------------------------------------------------------ tokens

    def _issue(self) -> str:
        self._issued += 1
        self.token = f"TOKEN-{self._issued}-" + "x" * 100
        self.valid.add(self.token)
        return self.token

    async def _told(self, secret: str, token: str | None) -> web.StreamResponse:
        await asyncio.sleep(self.token_delay_s)
        if self.token_answer is not None:
            fault = self.token_answer
            if fault.status != 200 or fault.raw:
                return web.Response(status=fault.status, body=fault.raw)
            return web.json_response({"errcode": fault.errcode, "errmsg": f"refused {secret}"})
        if secret != SECRET:
            return web.json_response({"errcode": 40001, "errmsg": f"invalid credential {secret}"})
        token = token or self._issue()
        return web.json_response({"access_token": token, "expires_in": self.expires_in_s})

    async def _wecom_token(self, request: web.Request) -> web.StreamResponse:
        self.calls["gettoken"] += 1
        return await self._told(request.query["corpsecret"], self.token)

    async def _wechat_token(self, request: web.Request) -> web.StreamResponse:
        self.calls["token"] += 1
        self.valid.clear()
        return await self._told(request.query["secret"], None)

    async def _stable_token(self, request: web.Request) -> web.StreamResponse:
        self.calls["stable_token"] += 1
        if self.no_stable_token is not None:
            return self.no_stable_token
        body = orjson.loads(await request.read())
        if body["force_refresh"]:
            self.forced += 1
        return await self._told(body["secret"], None if body["force_refresh"] else self.token)

    # ------------------------------------------------------------ sends

    async def _send(self, request: web.Request) -> web.StreamResponse:
        self.calls["send"] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request)
        finally:
            self.at_once -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        refusal = self._refused_token(request) or self._unknown_media(body, "")
        if refusal is not None:
            return refusal
        if self.redirect_to:
            raise web.HTTPFound(self.redirect_to)
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and fault.extra and "agentid" not in body:
            fault = None  # an Official Account names no receivers in its answer
        if fault is None or fault.acted:
            self._accept(body)
        await asyncio.sleep(self.answer_delay_s)
        if self.hold is not None and self.hold_text in {"", body.get("text", {}).get("content")}:
            self.held.set()
            await self.hold.wait()
        if fault is not None and fault.kill:
            self.killed.set()
            await asyncio.sleep(3600)
        if fault is None:
            return web.json_response({"errcode": 0, "errmsg": "ok", "msgid": "m1"})
        if fault.drop:
            assert request.transport is not None
            request.transport.abort()
        if fault.status != 200 or fault.raw:
            return web.Response(status=fault.status, body=fault.raw)
        return web.json_response({"errcode": fault.errcode, "errmsg": "fault", **fault.extra})

    def _accept(self, body: dict[str, Any]) -> None:
        now_ms = self.clock.now_ms()
        kind = body["msgtype"]
        message = Received(body.get("touser") or body.get("chatid", ""), kind, body[kind], now_ms, body)
        if body.get("enable_duplicate_check"):
            content = (message.user_id, orjson.dumps([kind, body[kind]]))
            said_ms = self._said.get(content)
            if said_ms is not None and now_ms - said_ms < body["duplicate_check_interval"] * 1000:
                self.duplicates.append(message)
                return
            self._said[content] = now_ms
        if "agentid" in body and self._over_rate(message.user_id, now_ms):
            self.over_rate.append(message)
            return
        self.received.append(message)

    def _over_rate(self, user_id: str, now_ms: int) -> bool:
        """Count an arrival; whether it is above a limit. Each limit keeps the exact instants."""
        arrivals = [
            (rate, self._arrivals.setdefault((rate, "" if rate.scope is Scope.CHANNEL else user_id), deque()))
            for rate in self.limits
        ]
        over = False
        for rate, instants in arrivals:
            while instants and instants[0] <= now_ms - rate.per_ms:
                instants.popleft()
            over = over or len(instants) >= rate.most
        for _, instants in arrivals:
            if not over:
                instants.append(now_ms)
        return over

    # ------------------------------------------------------------ uploads

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        self.calls["upload"] += 1
        self.upload_begun.set()
        if self.hold_uploads is not None:
            await self.hold_uploads.wait()
        key = request.query.get("key", "")
        refusal = self._refused_key(key) if "webhook" in request.path else self._refused_token(request)
        if refusal is not None:
            return refusal
        form = await request.read()
        part = email.message_from_bytes(
            f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode() + form,
            policy=email.policy.HTTP,
        ).get_payload(0)
        assert isinstance(part, email.message.EmailMessage)
        head, _, rest = form.partition(b"\r\n\r\n")
        content = rest[: rest.rindex(b"\r\n--")]
        name = re.search(rb'filename="([^"]*)"', head)
        assert name is not None
        assert part.get_param("name", header="content-disposition") == "media"
        media_id = f"MEDIA-{self.calls['upload'] - 1}"
        self.uploads[media_id] = Uploaded(
            media_id, request.query["type"], content, part.get_content_type(), name[1].decode(), key, form
        )
        if self.no_media_id:
            return web.json_response({"errcode": 0, "errmsg": "ok"})
        return web.json_response({"errcode": 0, "errmsg": "ok", "type": "x", "media_id": media_id})

    def forget_uploads(self) -> None:
        """Let three days pass for everything that was uploaded."""
        self.uploads.clear()

    def _unknown_media(self, body: dict[str, Any], account: str) -> web.StreamResponse | None:
        """Refuse a media id that looks like one of ours and is none of this account's."""
        media_id = str(body[body["msgtype"]].get("media_id", ""))
        known = self.uploads.get(media_id)
        if media_id.startswith("MEDIA-") and (known is None or known.account != account):
            return web.json_response({"errcode": 40007, "errmsg": "invalid media_id"})
        return None

    def _refused_token(self, request: web.Request) -> web.StreamResponse | None:
        token = request.query["access_token"]
        if token in self.valid:
            return None
        return web.json_response({"errcode": 40014, "errmsg": f"invalid access_token {token}"})

    # ------------------------------------------------------------ robots

    def _refused_key(self, key: str) -> web.StreamResponse | None:
        if key == ROBOT_KEY:
            return None
        return web.json_response({"errcode": 93000, "errmsg": f"invalid webhook url {key}"})

    async def _send_by_robot(self, request: web.Request) -> web.StreamResponse:
        self.calls["webhook"] += 1
        key = request.query["key"]
        body = orjson.loads(await request.read())
        fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            answer = {"errcode": fault.errcode, "errmsg": f"fault of {key}"}
            return web.Response(status=fault.status, body=fault.raw or orjson.dumps(answer))
        refusal = self._refused_key(key) or self._unknown_media(body, key)
        if refusal is not None:
            return refusal
        self.to_groups.append(body)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    # ------------------------------------------------------------ groups of an app

    async def _create_chat(self, request: web.Request) -> web.StreamResponse:
        self.calls["create_chat"] += 1
        body = orjson.loads(await request.read())
        refusal = self._refused_token(request)
        if refusal is not None:
            return refusal
        fault = self.faults.popleft() if self.faults else None
        chat_id = body.get("chatid") or f"CHAT{len(self.chats)}"
        if fault is None or fault.acted:
            if chat_id in self.chats:
                return web.json_response({"errcode": 86215, "errmsg": "chatid exists"})
            self.chats[chat_id] = {**body, "chatid": chat_id}
        if fault is not None:
            return web.Response(status=fault.status, body=orjson.dumps({"errcode": fault.errcode}))
        return web.json_response({"errcode": 0, "errmsg": "ok", "chatid": chat_id})

    async def _update_chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        refusal = self._refused_token(request) or self._no_chat(body["chatid"])
        if refusal is not None:
            return refusal
        chat = self.chats[body["chatid"]]
        chat |= {key: body[key] for key in ("name", "owner") if key in body}
        chat["userlist"] = [
            user_id
            for user_id in dict.fromkeys([*chat["userlist"], *body.get("add_user_list", ())])
            if user_id not in body.get("del_user_list", ())
        ]
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    async def _get_chat(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refused_token(request) or self._no_chat(request.query["chatid"])
        if refusal is not None:
            return refusal
        info = self.chats[request.query["chatid"]]
        return web.json_response({"errcode": 0, "errmsg": "ok", "chat_info": info})

    async def _send_to_chat(self, request: web.Request) -> web.StreamResponse:
        self.calls["appchat"] += 1
        body = orjson.loads(await request.read())
        refusal = (
            self._refused_token(request) or self._no_chat(body["chatid"]) or self._unknown_media(body, "")
        )
        if refusal is not None:
            return refusal
        self.to_groups.append(body)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    def _no_chat(self, chat_id: str) -> web.StreamResponse | None:
        if chat_id in self.chats:
            return None
        return web.json_response({"errcode": 86003, "errmsg": "invalid chatid"})
