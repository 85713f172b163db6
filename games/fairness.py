"""Chance that anyone can recompute.

Before a round begins a secret seed of 32 bytes is drawn and its SHA-256, the *commitment*, is published. All
chance in the round follows from the seed:

* a draw has a name, its *index*, such as ``roll 4``;
* its number is HMAC-SHA256 with the seed as key over the text ``<round id>|<index>``, read as one big-endian
  number; one above the last multiple of n is thrown away and ``<round id>|<index>|1`` (then ``|2``, …) is
  taken, so that each of the n results is exactly as likely as any other; the result is its remainder by n;
* where the entries close before the draw, their hash is mixed in: ``<round id>|<entries hash>|<index>``. Who
  knows the seed then cannot know the result before the last entry is in.

After the round the seed is published: that it has the commitment shows that it was not changed since the
beginning, and the same draws show the same outcome.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from games.rules import Move

SEED_BYTES = 32
_MOST = 2**256


def commitment(seed: bytes) -> str:
    """Return the SHA-256 of a seed in lower-case hexadecimal."""
    return hashlib.sha256(seed).hexdigest()


def player_mark(round_id: str, member: str) -> str:
    """Return a member's name in the published list of moves: 16 hexadecimal digits, another in every round.

    A member finds their own; nobody finds out whose another one is without knowing the member's id.
    """
    return hashlib.sha256(f"{round_id}|{member}".encode()).hexdigest()[:16]


def entries_hash(round_id: str, moves: Iterable[Move]) -> str:
    """Return the SHA-256 of the entries: a line ``<mark> <said> <stake>`` with a newline for each."""
    lines = (f"{player_mark(round_id, move.member)} {move.said} {move.stake}\n" for move in moves)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Luck:
    """The draws of one round."""

    seed: bytes
    round_id: str
    entries: str = ""

    def mixed(self, moves: Iterable[Move]) -> Luck:
        """Return the draws that hold only for these entries."""
        return Luck(self.seed, self.round_id, entries_hash(self.round_id, moves))

    def below(self, most: int, index: str) -> int:
        """Return the draw of that index: a whole number from 0 to `most` - 1, each as likely.

        Raises:
            ValueError: `most` is below 1 or above 2²⁵⁶.
        """
        if not 1 <= most <= _MOST:
            raise ValueError(f"a draw has from 1 to 2**256 results, not {most}")
        scope = f"{self.round_id}|{self.entries}|{index}" if self.entries else f"{self.round_id}|{index}"
        limit, text, again = _MOST - _MOST % most, scope, 0
        while (number := self._number(text)) >= limit:
            again += 1
            text = f"{scope}|{again}"
        return number % most

    def die(self, faces: int, index: str) -> int:
        """Return a throw of a die with that many faces, from 1 on."""
        return 1 + self.below(faces, index)

    def dice(self, count: int, faces: int, index: str) -> tuple[int, ...]:
        """Return `count` throws; the n-th, from 0, has the index ``<index> <n>``."""
        return tuple(self.die(faces, f"{index} {number}") for number in range(count))

    def _number(self, text: str) -> int:
        return int.from_bytes(hmac.digest(self.seed, text.encode(), "sha256"), "big")
