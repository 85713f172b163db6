"""Answers polls: what the stream of a late answer shows now, in the platform's bytes."""

from __future__ import annotations

from bot.callback_response import CallbackResponse
from bot.case import Parts
from bot.model import Part, Text
from bot.platforms.protocol import Platform, StreamTexts
from bot.storage.redis.streams import Progress, StreamView


class Polling:
    """Shows streams."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def answer(self, platform: Platform, stream: str, query: str) -> CallbackResponse:
        """Return the HTTP answer that shows a stream, taking the answer for it where one waits.

        `stream` may be anything. A finished answer no longer counts as one its member has under way. Dies
        before the answer arrived: the platform polls again, and gets the same.

        Raises:
            StoreUnavailableError: Redis is away; the platform polls again.
        """
        streams = platform.streams
        assert streams is not None, "only a platform with streams polls"
        now_ms = self._parts.clock.now_ms()
        view = await self._parts.stores.streams.look(platform.channel, stream, now_ms)
        finished = view.progress is not Progress.WORKING
        body = streams.render(stream, _shown(view, streams.texts), now_ms, query, finished=finished)
        if finished and view.owner:
            await self._parts.stores.streams.end(stream, view.owner)
        return CallbackResponse(body, platform.content_type)


def _shown(view: StreamView, texts: StreamTexts) -> Part:
    match view.progress:
        case Progress.SAID:
            assert view.part is not None, "what was said is there"
            return view.part
        case Progress.WORKING:
            return Text(view.shown or texts.working)
        case Progress.SILENT:
            return Text(texts.done)
        case Progress.APART:
            return Text(texts.apart)
        case Progress.ELSEWHERE:
            return Text(texts.elsewhere)
