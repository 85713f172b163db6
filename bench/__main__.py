"""Run the whole benchmark and print its table; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from bench import course, report
from bench.cores import Cores, on_core
from bench.process import ROOT
from bench.sizes import FULL, QUICK, TOY
from bot.errors import BotError

_DOCUMENT = ROOT / "docs" / "benchmarks.md"
_WRONG, _FAILED, _INTERRUPTED = 1, 2, 130


def main() -> int:
    """Run; return 0, 1 when an answer or a count was wrong, 2 when the run failed, 130 when interrupted."""
    options = _options()
    signal.signal(signal.SIGTERM, _interrupt)
    began_s = time.monotonic()
    try:
        cores = Cores.choose()
        with on_core(cores.load):
            results = course.run(options.sizes, cores)
        rows, heading = report.rows_of(results), report.heading(results)
        print(f"{heading}\n\n{report.render(rows, absolute=True)}")
        if options.write:
            report.write_into(_DOCUMENT, f"\n{heading}\n\n{report.render(rows, absolute=False)}\n")
    except BotError as error:
        print(error, file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("interrupted; every process that was started has ended", file=sys.stderr)
        return _INTERRUPTED
    for fault in results.faults:
        print(f"WRONG {fault}", file=sys.stderr)
    print(f"done in {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    return _WRONG if results.faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", dest="sizes", action="store_const", const=QUICK, help="at most 90 s, coarser"
    )
    size.add_argument(
        "--toy", dest="sizes", action="store_const", const=TOY, help="seconds; checks, no figures"
    )
    parser.add_argument("--write", action="store_true", help="put the ratios into docs/benchmarks.md")
    parser.set_defaults(sizes=FULL)
    return parser.parse_args()


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
