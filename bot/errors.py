"""The error tree.

::

    BotError
    ├── ConfigError            configuration or content is wrong; carries every fault at once
    ├── CallbackError          a callback is refused; carries the HTTP status of contract section 4
    │   ├── SignatureError     403: not signed by the platform
    │   ├── ReceiverError      403: signed, but meant for another account
    │   ├── UndecodableError   400: the bytes are not what the platform sends
    │   └── OversizeError      413: the body is larger than `server.max_body_bytes`
    ├── StoreError             a store refused or did not answer
    │   ├── DataDirBusyError   another process owns the data directory
    │   ├── CommandRefusedError    Redis refused a command: a mistake of ours, or of its set-up
    │   ├── ConversationMovedError  another message of the member was answered meanwhile
    │   ├── RowRefusedError        the database never takes this row, whatever else it takes
    │   └── StoreUnavailableError  the store is away; the act may or may not have happened
    ├── PlatformApiError       a platform answered one of our calls with an error code
    ├── PlatformUnreachableError  no usable answer: timeout, connection, HTTP status, broken JSON
    ├── WorkerStartError       a worker process ended again and again before it was ready
    └── RefusedError           a request of a person or program cannot be fulfilled; says why and the cure
"""

from __future__ import annotations

from dataclasses import dataclass


class BotError(Exception):
    """Everything this product raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a file a person wrote.

    `where` is ``file:line``, `path` the key path (``channels[0].token``), `problem` what is wrong and
    `cure` what to do, which names the nearest valid key where a key was misspelt.
    """

    where: str
    path: str
    problem: str
    cure: str = ""

    def __str__(self) -> str:
        """Return the fault as one line for a terminal."""
        cure = f" ({self.cure})" if self.cure else ""
        return f"{self.where}: {self.path}: {self.problem}{cure}"


class ConfigError(BotError):
    """Configuration or content is wrong; `faults` lists all of it at once."""

    def __init__(self, faults: list[Fault]) -> None:
        """Carry `faults`, at least one."""
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class CallbackError(BotError):
    """A callback is refused with `status`; nothing has been changed."""

    status = 400


class SignatureError(CallbackError):
    """The callback is not signed, or not by the owner of our token."""

    status = 403


class ReceiverError(CallbackError):
    """The callback is signed, but its receiver id is not this channel's."""

    status = 403


class UndecodableError(CallbackError):
    """Base64, padding, framing, XML or JSON is broken, or holds a DTD or entities."""


class OversizeError(CallbackError):
    """The body is larger than allowed."""

    status = 413


class StoreError(BotError):
    """A store refused or did not answer."""


class DataDirBusyError(StoreError):
    """Another process owns the data directory; `pid` is the owner's, 0 when unknown."""

    def __init__(self, data_dir: str, pid: int) -> None:
        """Name the directory and the owner."""
        self.data_dir, self.pid = data_dir, pid
        super().__init__(
            f"data directory {data_dir} is in use by process {pid}: stop that process, "
            "or set another storage.data_dir"
        )


class ConversationMovedError(StoreError):
    """Another message of the member has changed the conversation meanwhile; nothing was decided."""


class RowRefusedError(StoreError):
    """The database refuses what a row holds; nothing was changed, and trying again would not help."""


class CommandRefusedError(StoreError):
    """Redis refused a command and changed nothing; the text is the server's."""


class StoreUnavailableError(StoreError):
    """The store is away; the act may or may not have happened, so repeat it under the same event id."""


class PlatformApiError(BotError):
    """A platform answered a call of ours with an error code; branch on fields, not on text."""

    def __init__(self, *, platform: str, endpoint: str, errcode: int, errmsg: str) -> None:
        """Carry the failed call; `errmsg` is the vendor's text, without tokens."""
        self.platform, self.endpoint = platform, endpoint
        self.errcode, self.errmsg = errcode, errmsg
        super().__init__(f"{platform} {endpoint}: errcode {errcode} ({errmsg})")


class PlatformUnreachableError(BotError):
    """A platform gave no usable answer to a call; it may or may not have acted on it."""

    def __init__(self, *, platform: str, endpoint: str, problem: str) -> None:
        """Carry the failed call and what was wrong with its answer."""
        self.platform, self.endpoint, self.problem = platform, endpoint, problem
        super().__init__(f"{platform} {endpoint}: {problem}")


class WorkerStartError(BotError):
    """A worker process ended again and again before it was ready; `exit_code` below 0 is a signal."""

    def __init__(self, index: int, exit_code: int | None) -> None:
        """Name the worker, from 0, and how it ended last."""
        self.index, self.exit_code = index, exit_code
        super().__init__(
            f"worker {index} ended again and again before it was ready, last with exit code {exit_code}: "
            "the lines above say why"
        )


class RefusedError(BotError):
    """A request of a person or program cannot be fulfilled; the text says why and what to do."""
