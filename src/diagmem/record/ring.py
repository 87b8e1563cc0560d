"""A stretch of memory that a recorder writes and we read, in place of a pipe.

The recorder copies its stream into the ring and tells through the FIFO how many bytes
more there are, eight bytes a time; how many were read stands in front of the ring.  That
takes a third of the time of a pipe that carries all, and the recorder need not wait while
a block is compressed.  See ``qemu-plugin/dm_port.c``.
"""

from __future__ import annotations

import mmap
import os

import numpy as np

RING_BYTES = 2 << 20
HEAD_BYTES = 64
"""A cache line: the reader's counter, and nothing that the writer touches."""
TOKEN_BYTES = 8
TOKENS_AT_ONCE = 1 << 16


class Ring:
    """``fd`` is for the recorder to inherit; it and ``size_bytes`` are what it is told."""

    def __init__(self, size_bytes: int = RING_BYTES) -> None:
        self.size_bytes = size_bytes
        self.fd = os.memfd_create("diagmem-stream")
        os.ftruncate(self.fd, HEAD_BYTES + size_bytes)
        self._map = mmap.mmap(self.fd, HEAD_BYTES + size_bytes)
        whole = memoryview(self._map)
        # One store of eight bytes: the other side must never see half of it.
        self._counter = whole[:TOKEN_BYTES].cast("Q")
        self._data = whole[HEAD_BYTES:]
        self._read = 0
        self._there = 0

    def announce(self, tokens: bytes) -> None:
        """What came through the FIFO: so many bytes more are there."""
        self._there += int(np.frombuffer(tokens, "<u8").sum())

    def take(self, view: memoryview) -> int:
        """Fill the view as far as there is something to read; bytes taken."""
        got = 0
        while got < len(view) and self._there:
            at = self._read % self.size_bytes
            n = min(len(view) - got, self._there, self.size_bytes - at)
            view[got : got + n] = self._data[at : at + n]
            got += n
            self._there -= n
            self._read += n
            self._counter[0] = self._read
        return got

    def close(self) -> None:
        self._counter.release()
        self._data.release()
        self._map.close()
        os.close(self.fd)
