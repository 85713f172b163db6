"""Structured logs: one JSON line per event, and lines for what operators should know.

Lines of events are written at the end of a turn of the loop, several in one write; a kill loses at most the
lines of one turn, never an effect. Secrets and message bodies are never logged; ids are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.tracebacks import ExceptionDictTransformer

from bot.clock import Clock, from_ms

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(level: str, stream: int = 2) -> None:
    """Send every log of the process as JSON lines to file descriptor `stream`; once, at start.

    `level` is debug, info, warning or error. Logs of libraries (asyncio, aiohttp) come the same way.
    """
    number = _LEVELS[level]
    out = os.fdopen(stream, "ab", buffering=0, closefd=False)  # ours to write to, not to close
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            # Without the values of local variables: they are what people wrote, and secrets.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            _keep_private,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_ToStructlog()], force=True)


def _keep_private(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop the words of errors from a line marked `private`: a handler's may quote what a person wrote.

    Where it happened and which class of error it was stays.
    """
    if event.pop("private", False):
        for error in event.get("exception", ()):
            error.update(exc_value="", exc_notes=[])
    return event


def _json(value: Any, **_: Any) -> bytes:
    return orjson.dumps(value, default=repr)


class _ToStructlog(logging.Handler):
    """Hands the standard library's log records on."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger("huoqun")
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            # Any stranger can send what is not HTTP: no fault of ours, and its words may be anything.
            log.warning("request refused, it is not HTTP", logger=record.name, why=type(error).__name__)
            return
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        private = record.name == "aiohttp.server"  # what went wrong there went wrong about somebody's request
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=exc_info, private=private)


class EventLog:
    """One line per event: id, channel, handler, outcome, duration in ms."""

    def __init__(self, clock: Clock, *, enabled: bool = True, stream: int | None = None) -> None:
        """Write to file descriptor `stream`, by default standard error; `enabled` is level info or finer."""
        self._clock = clock
        self._enabled = enabled
        self._stream = sys.stderr.fileno() if stream is None else stream
        self._lines: list[tuple[str, str, str, str, float]] = []

    def write(self, event_id: str, channel: str, handler: str, outcome: str, ms: float) -> None:
        """Queue the line of one event for the end of this turn of the loop."""
        if not self._enabled:
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append((event_id, channel, handler, outcome, ms))

    def flush(self) -> None:
        """Write what is queued; a log nobody can take is dropped rather than holding up answers."""
        at = from_ms(self._clock.now_ms()).isoformat()
        data = b"".join([_line(at, *line) for line in self._lines])
        self._lines = []
        try:
            os.write(self._stream, data)
        except OSError:
            return


def _line(at: str, event_id: str, channel: str, handler: str, outcome: str, ms: float) -> bytes:
    return orjson.dumps(
        {
            "event": "event",
            "id": event_id,
            "channel": channel,
            "handler": handler,
            "outcome": outcome,
            "ms": round(ms, 2),
            "level": "info",
            "at": at,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
