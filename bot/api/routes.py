"""Puts the JSON API under ``/api/v1``."""

from __future__ import annotations

from aiohttp import web

from bot.api.parts import ApiParts

PREFIX = "/api/v1"


def add_api(app: web.Application, parts: ApiParts) -> None:
    """Serve the API of `parts` under `PREFIX`."""
    api = web.Application()
    api["parts"] = parts
    app.add_subapp(PREFIX, api)
