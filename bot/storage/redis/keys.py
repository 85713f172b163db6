"""Names of shards and keys: the one place where a Redis key's outer shape is decided.

``hq:{sNN}:<store>:<id…>`` where NN is a stable hash of the community id modulo the number of shards.
Everything one act touches belongs to one community and so carries one hash tag: the same scripts run on
one server and on Redis Cluster. What belongs to no community (tokens, leases) stands under ``hq:{g}:``.
"""

from __future__ import annotations

from zlib import crc32


class Keys:
    """Builds keys for a fixed number of shards; changing that number needs `run.py rebuild`."""

    def __init__(self, shards: int) -> None:
        """Prepare the names of `shards` shards (1 to 1024).

        Raises:
            ValueError: `shards` is out of range.
        """
        if not 1 <= shards <= 1024:
            raise ValueError(f"storage.shards must be 1 to 1024, not {shards}")
        self._prefixes = tuple(f"hq:{{s{number:02d}}}:" for number in range(shards))
        self._shard_of: dict[str, int] = {}

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self._prefixes)

    def shard(self, community: str) -> int:
        """Return the number of the community's shard: CRC-32 of its id, modulo the number of shards."""
        number = self._shard_of.get(community)
        if number is None:
            number = crc32(community.encode()) % len(self._prefixes)
            self._shard_of[community] = number
        return number

    def prefix(self, community: str) -> str:
        """Return ``hq:{sNN}:`` of the community."""
        return self._prefixes[self.shard(community)]

    def of_shard(self, number: int, store: str) -> str:
        """Return the key of something a whole shard has one of, such as its outbox."""
        return f"{self._prefixes[number]}{store}"

    def key(self, store: str, community: str, *parts: str) -> str:
        """Return the key of something a community has many of."""
        return ":".join((f"{self.prefix(community)}{store}", community, *parts))

    @staticmethod
    def pattern(store: str) -> str:
        """Return the glob pattern of a store's keys in every shard, for `RedisClient.scan`."""
        return f"hq:{{s*}}:{store}*"

    def find(self, key: str) -> tuple[str, str]:
        """Return the community and the rest of a key that `key` made.

        Both are empty for any other key, such as one from before the number of shards was changed.
        """
        _, _, rest = key.partition("}:")
        store, _, rest = rest.partition(":")
        community, _, rest = rest.partition(":")
        return (community, rest) if key == self.key(store, community, rest) else ("", "")

    @staticmethod
    def shared(store: str, *parts: str) -> str:
        """Return the key of something that belongs to no community."""
        return ":".join((f"hq:{{g}}:{store}", *parts))
