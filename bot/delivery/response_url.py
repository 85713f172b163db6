"""Sends a late answer of an AI bot to the response_url that came with the message: one POST within an hour.

The address is a secret: whoever has it answers in our name. It is called only where it is https, or at the
channel's own `api_base` (a stand-in for the vendor). A second message cannot be sent, so parts beyond the
first are refused before the platform would do it. What a crash costs: whether the platform got the one POST
is then unknown; it is tried again, and if the platform refuses that, the answer has most likely been shown.

Source: WeCom, AI bot, replies (response_url).
"""

from __future__ import annotations

from typing import Any

import aiohttp
from yarl import URL

from bot.delivery.client import NotReachedError, Receiver, SendReceipt
from bot.delivery.errcodes import Verdict, rule_of
from bot.delivery.http import VendorApi
from bot.errors import PlatformApiError
from bot.model import Markdown, Part, TemplateCard, Text
from bot.platforms.wecom.card_json import card_json
from bot.storage.redis.streams import AddressUse, AddressUses

_ENDPOINT = "response_url"
_SHORTEST_SECRET = 6


class ResponseUrlClient:
    """One AI bot in callback mode, as a `bot.delivery.client.ActiveClient`."""

    kind = "wecom_aibot"

    def __init__(
        self, session: aiohttp.ClientSession, uses: AddressUses, *, channel: str, api_base: str
    ) -> None:
        """Answer for `channel`; `api_base` is the one address that may be called without TLS."""
        self.channel = channel
        self._session = session
        self._uses = uses
        self._trusted = URL(api_base).origin()

    async def send(self, receiver: Receiver, part: Part, *, guard: bool = False) -> SendReceipt:  # noqa: ARG002
        """Use the address for one part; `guard` has no meaning, the address itself guards.

        Raises:
            NotReachedError: No address came with the message, it may not be called, or has been used; or the
                part is nothing it takes.
            PlatformApiError: Refused.
            PlatformUnreachableError: No usable answer; the part may have been sent.
            StoreUnavailableError: Redis is away; nothing was sent.
        """
        url = self._allowed(receiver.answer_to)
        body = self._body(part)
        use = await self._uses.take(receiver.delivery_id, receiver.part_number)
        if use is AddressUse.TAKEN:
            raise self._not_reached("response_url_used")
        secrets = (receiver.answer_to, url.raw_query_string, *filter(_is_long, url.query.values()))
        api = VendorApi(self._session, platform=self.kind, api_base=str(url.origin()))
        try:
            await api.post_url(url, _ENDPOINT, body, secrets=secrets)
        except PlatformApiError as error:
            if use is AddressUse.FIRST:  # refused, so the address has its use still
                await self._uses.give_back(receiver.delivery_id)
            elif rule_of(self.kind, _ENDPOINT, error.errcode).verdict is Verdict.GIVE_UP:
                raise self._not_reached("response_url_unsure") from error
            raise
        return SendReceipt("")

    async def close(self) -> None:
        """Nothing runs beside."""

    def _allowed(self, answer_to: str) -> URL:
        if not answer_to:
            raise self._not_reached("no_route")
        try:
            url = URL(answer_to)
            allowed = bool(url.host) and url.user is None and url.password is None
            allowed = allowed and (url.scheme == "https" or url.origin() == self._trusted)
        except ValueError:
            allowed = False
        if not allowed:
            raise self._not_reached("response_url_untrusted")
        return url

    def _not_reached(self, reason: str) -> NotReachedError:
        return NotReachedError(platform=self.kind, endpoint=_ENDPOINT, reason=reason)

    def _body(self, part: Part) -> dict[str, Any]:
        match part:
            case Text() | Markdown():
                return {"msgtype": "markdown", "markdown": {"content": part.text}}
            case TemplateCard():
                try:
                    return {"msgtype": "template_card", "template_card": card_json(part)}
                except ValueError as error:
                    raise self._not_reached("unsendable") from error
            case _:
                raise self._not_reached("unsendable")


def _is_long(value: str) -> bool:
    """Whether a value of the address is a secret; short ones are words that errors may have too."""
    return len(value) >= _SHORTEST_SECRET
