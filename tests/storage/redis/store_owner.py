"""A program that owns an embedded store and, when asked to, counts in it as fast as it can.

Usage: store_owner.py DATA_DIR [count]. Prints the store's pid, then every acknowledged count.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from redis import Redis

from bot.storage.redis.embedded import EmbeddedRedis

store = EmbeddedRedis.start(Path(sys.argv[1]))
sys.stdout.write(f"{store.pid}\n")
sys.stdout.flush()
if sys.argv[2:] == ["count"]:
    client = Redis.from_url(store.url)
    while True:
        sys.stdout.write(f"{client.incr('counted')}\n")
        sys.stdout.flush()
threading.Event().wait()
