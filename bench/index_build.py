"""How long a keyword index takes to build: ``python -m bench.index_build '{"rules": 100000}'``."""

from __future__ import annotations

import time
from typing import Any
from zoneinfo import ZoneInfo

from bench.apart import run_measure
from bench.workload import make_rules
from bot.routing.keyword_index import KeywordIndex
from bot.routing.normalise import Normaliser


def measure(amounts: dict[str, Any]) -> dict[str, float]:
    """Build the index of `rules` rules three times and return the seconds of the middle one."""
    rules = make_rules(amounts["rules"])
    normalise = Normaliser().normalise
    times = []
    for _ in range(3):
        begun_s = time.perf_counter()
        KeywordIndex.build(rules, ZoneInfo("Asia/Shanghai"), normalise)
        times.append(time.perf_counter() - begun_s)
    return {"seconds": sorted(times)[1]}


if __name__ == "__main__":
    run_measure(measure)
