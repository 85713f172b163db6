"""Loopback only: nobody outside this machine, and no web page in a browser on it, drives the sandbox."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


def loopback_only(*, allow_remote: bool = False) -> Middleware:
    """Return the middleware that answers 403 to who may not be here.

    Refused are peers and Host names that are not loopback (the latter is a page that has pointed its
    own name at this machine) and what a proxy passed on, unless `allow_remote`; and always requests that
    another origin's page makes.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not allow_remote and not _is_local(request):
            raise web.HTTPForbidden(text="the sandbox answers on loopback only (sandbox.allow_remote)")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="the sandbox takes no requests from other origins")
        return await handler(request)

    return guard


def _is_local(request: web.Request) -> bool:
    if any(name in request.headers for name in _PROXY_HEADERS):
        return False
    # A Unix socket has no peer address; whoever may open it is on this machine.
    return (not request.remote or _is_loopback(request.remote)) and _is_loopback(_host_name(request.host))


def _host_name(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A socket for both families shows an IPv4 peer as ::ffff:127.0.0.1.
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
