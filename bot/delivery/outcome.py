"""What a failed send means for its delivery and for its channel."""

from __future__ import annotations

from dataclasses import dataclass

from bot.delivery.client import NotReachedError
from bot.delivery.errcodes import Verdict, reason_of, rule_of
from bot.errors import PlatformApiError, PlatformUnreachableError

UNREACHABLE_WAIT_S = (2, 30)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a part was not accepted.

    Attributes:
        reason: The code kept with the delivery (`errcodes.explain`).
        final: It will never be accepted.
        counts: It uses up one of the delivery's attempts; not where the whole channel is to wait.
        first_s: For how long the whole channel waits the first time, seconds; 0 for not at all.
        longest_s: For how long it waits at most, seconds.
        answered: The platform answered about this message alone: its channel as a whole works.
    """

    reason: str
    final: bool = False
    counts: bool = True
    first_s: int = 0
    longest_s: int = 0
    answered: bool = False


def judge(kind: str, error: Exception) -> Failure:
    """Return what an error of `ActiveClient.send` means on a kind of channel."""
    if isinstance(error, NotReachedError):
        return Failure(error.reason, final=True, answered=True)
    if isinstance(error, PlatformUnreachableError | TimeoutError):
        return Failure("unreachable", first_s=UNREACHABLE_WAIT_S[0], longest_s=UNREACHABLE_WAIT_S[1])
    if not isinstance(error, PlatformApiError):
        return Failure("error")
    rule = rule_of(kind, error.endpoint, error.errcode)
    return Failure(
        reason_of(error.endpoint, error.errcode),
        final=rule.verdict is Verdict.GIVE_UP,
        counts=rule.verdict not in {Verdict.WAIT, Verdict.CONFIGURATION},
        first_s=rule.first_s,
        longest_s=rule.longest_s,
        answered=rule.first_s == 0,
    )
