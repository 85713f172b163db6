"""Tie the life of a process to its parent's, so that nothing of ours outlives a killed main process.

Linux can send a process a signal when its parent ends, however the parent ends
(``prctl(PR_SET_PDEATHSIG)``, prctl(2)). Two traps of that call shape its users:

* The "parent" is the *thread* that started the process. Who starts one has to do so on a thread
  that lives as long as the process shall.
* The parent may be gone before the call is made, and then no signal comes. So the parent's id is
  compared afterwards, or a pipe from the parent is watched as well.

Run as a script, ``python -I -S tether.py <parent pid> <program> <argument> …``, this module ties
itself to its parent and then becomes the program: the way to tie one that is not ours. Doing this
between fork and exec of the parent (`preexec_fn`) may deadlock where other threads run. The script
needs nothing but the standard library and costs about 15 ms.

Elsewhere than on Linux there is no such signal, and `tether` says so by its result.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tether(signal_number: int) -> bool:
    """Have the kernel send this process `signal_number` when the thread that started it ends.

    The setting survives `exec`, not `fork`.

    Returns:
        Whether the kernel will do so; False on other systems than Linux.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number)) == 0)


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the program that `arguments` name.

    Files that the program makes are readable by its user only. SIGTERM is what it gets when the
    parent ends, so that a program that has something to finish can.
    """
    parent_pid, program = int(arguments[0]), arguments[1:]
    tether(signal.SIGTERM)
    if os.getppid() != parent_pid:
        sys.exit(f"process {parent_pid}, which wanted {program[0]}, has ended")
    os.umask(0o077)
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted; the caller named the program


if __name__ == "__main__":
    main(sys.argv[1:])
