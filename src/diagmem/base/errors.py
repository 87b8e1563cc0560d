"""The one root of every error that diagmem raises on purpose."""

from __future__ import annotations


class DiagmemError(Exception):
    """Something the user gave, or the machine lacks, stops the work.

    The message is a single line that names the file, the place in it, what was
    found and what was expected.  The command line prints it and exits with 2.
    """
