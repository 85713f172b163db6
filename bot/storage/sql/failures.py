"""The databases' errors as ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bot.errors import RowRefusedError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# PostgreSQL, appendix A: connection lost, rolled back (deadlock), no resources, object in use, stopped, I/O.
_AWAY_CLASSES = frozenset({"08", "40", "53", "55", "57", "58"})
# The same: bad data, broken constraint. Their texts quote the value.
_QUOTING_CLASSES = frozenset({"22", "23"})
# The same, and more than an index takes.
_ROW_CLASSES = _QUOTING_CLASSES | {"54"}


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise the errors of the database at `place` as ours, without the values of a statement.

    Raises:
        StoreUnavailableError: It did not answer, had no room, or took back the transaction.
        RowRefusedError: It refused what a row holds.
        StoreError: It refused a statement.
    """
    try:
        yield
    except DBAPIError as error:
        if _is_away(error):
            raise StoreUnavailableError(f"{place} did not answer: {error.orig}") from error
        kind = RowRefusedError if _is_about_a_row(error) else StoreError
        raise kind(f"{place} refused a statement: {_without_values(error)}") from error
    except (OSError, PoolTimeoutError) as error:
        raise StoreUnavailableError(f"{place} did not answer: {error or 'time is up'}") from error
    except OverflowError as error:  # what SQLite's driver says where PostgreSQL's says 22003
        raise RowRefusedError(f"{place} refused a statement: a number has more than 64 bits") from error


def _is_away(error: DBAPIError) -> bool:
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return True
    return _sqlstate(error)[:2] in _AWAY_CLASSES


def _is_about_a_row(error: DBAPIError) -> bool:
    return isinstance(error, IntegrityError | DataError) or _sqlstate(error)[:2] in _ROW_CLASSES


def _without_values(error: DBAPIError) -> str:
    if _sqlstate(error)[:2] in _QUOTING_CLASSES and error.orig is not None:
        return f"{type(error.orig.__cause__).__name__} {_sqlstate(error)}"
    return str(error.orig)


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
