"""Figures for Prometheus; one registry per application, summed over processes where there are several."""

from __future__ import annotations

import os
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """What the product counts about itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "huoqun_events", "Callbacks taken in, by outcome", ["channel", "outcome"], registry=self.registry
        )
        self._refused = Counter(
            "huoqun_callbacks_refused", "Callbacks refused, by HTTP status", ["channel", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._unknown = Counter(
            "huoqun_unknown_types", "Callbacks of a type we do not know", ["channel"], registry=self.registry
        )
        self._seconds = Histogram(
            "huoqun_answer_seconds", "From the first byte to the answer", ["channel"], buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._deliveries = Counter(
            "huoqun_deliveries", "Active sends, by outcome", ["channel", "outcome"], registry=self.registry
        )
        self._connected = Gauge(
            "huoqun_connection_up", "Whether a process has the long connection", ["channel"],
            registry=self.registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self._connections = Counter(
            "huoqun_connections_opened", "Long connections opened", ["channel"], registry=self.registry
        )
        self._connection_ends = Counter(
            "huoqun_connection_ends",
            "Long connections that ended or could not be opened, by cause",
            ["channel", "cause"],
            registry=self.registry,
        )
        self._connection_junk = Counter(
            "huoqun_connection_junk", "Frames that nobody understands", ["channel"], registry=self.registry
        )
        self.drained = Counter(
            "huoqun_drained_entries", "Entries moved from Redis to SQL", registry=self.registry
        )
        self.outbox_length = Gauge(
            "huoqun_outbox_entries", "Entries waiting in Redis for SQL", registry=self.registry,
            multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._event_children: dict[tuple[str, str], Counter] = {}
        self._second_children: dict[str, Histogram] = {}

    def expect(self, channels: Iterable[str]) -> None:
        """Show every channel from the start, at 0."""
        for channel in channels:
            self._second_children[channel] = self._seconds.labels(channel)

    def event(self, channel: str, outcome: str, seconds: float) -> None:
        """Count one event and the time its answer took."""
        child = self._event_children.get((channel, outcome))
        if child is None:
            child = self._event_children[channel, outcome] = self._events.labels(channel, outcome)
        child.inc()
        self._second_children[channel].observe(seconds)

    def refused(self, channel: str, status: int) -> None:
        """Count one refused callback."""
        self._refused.labels(channel, str(status)).inc()

    def unknown_type(self, channel: str) -> None:
        """Count one event of a type we do not know."""
        self._unknown.labels(channel).inc()

    def delivery(self, channel: str, outcome: str) -> None:
        """Count one outcome of an active send."""
        self._deliveries.labels(channel, outcome).inc()

    def connected(self, channel: str, *, up: bool) -> None:
        """Say whether this process has a channel's long connection."""
        self._connected.labels(channel).set(up)
        if up:
            self._connections.labels(channel).inc()

    def connection_ended(self, channel: str, cause: str) -> None:
        """Count the end of a long connection: kicked, broken, refused, lease_lost or stopped."""
        self._connection_ends.labels(channel, cause).inc()

    def connection_junk(self, channel: str) -> None:
        """Count a frame that is none of ours."""
        self._connection_junk.labels(channel).inc()

    def render(self) -> bytes:
        """Return the text Prometheus scrapes."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
