"""Processes that do not outlive the one that started them.

The system ends them with the thread that started them (``PR_SET_PDEATHSIG``), however
that ends: nothing goes on, for hours perhaps, that nobody reads any more.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from functools import cache

_PR_SET_PDEATHSIG = 1


def bound(command: Sequence[str]) -> list[str]:
    """The command that runs another, which ends when this thread does.

    By a program of util-linux, which Debian always has; a function between fork and
    exec would cost 50 ms a process in a Python of 300 MB.  Where there is none the
    command stays as it is.  In its first millisecond, before that program has spoken to
    the system, the process is not bound yet.
    """
    return [*_setpriv(), *command]


@cache
def _setpriv() -> tuple[str, ...]:
    program = shutil.which("setpriv")
    prefix = (program or "", "--pdeathsig", "KILL", "--")
    # Busybox has one of that name that knows no such option.
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False) if program else None
    return prefix if tried and tried.returncode == 0 else ()


def become_worker(parent: int) -> None:
    """For a forked worker to call first: it ends with its parent, and by Ctrl-C without
    a word, which is for the parent to say.

    ``parent`` is the parent's process number.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # It may have ended before that.
    if os.getppid() != parent:
        os._exit(1)
