"""A whole model, and what each of its operators puts out, to be compared with another run.

Which bytes of an output a kernel leaves as they were shows by filling: two interpreters
run side by side, and before each call its outputs are filled, in the one with a byte and in
the other with its complement.  Bytes that differ afterwards are not determined by the
model: nobody wrote them, if they are the two fills (or copies of such bytes); else their
element was computed from what nobody wrote, and none of its bytes is determined.  Whatever
is determined is the same in both, so it is never taken for one of these.

A job's comparison says which tensors may be filled before their operator runs; none: one
interpreter runs, and bytes under a mask do not count.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.tflm.child.job import ArenaUse, ComparedRun, Job, WatchedBuffer
from diagmem.tflm.child.network import Addresses, allocated, give, taken
from diagmem.tflm.child.process import Log, interpret, serve
from diagmem.tflm.child.profiler import attach, check_calls

Octets = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
FILL = 0x5A
_DESTROY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_BEGIN = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_char_p)
_END = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)


def records(runtime: Any, model: bytes, job: Job, log: Log) -> Iterator[ArenaUse | ComparedRun]:
    first = _Watched(runtime, model, job)
    yield allocated(first.interpreter, log)
    comparison = first.comparison
    second = _Watched(runtime, model, job) if comparison.filled else None
    for arrays, masks in zip(job.runs, comparison.masks, strict=True):
        if second is not None:
            yield _twice(first, second, arrays, comparison.element_bytes)
        else:
            yield _once(first, arrays, masks)


def _once(watched: _Watched, arrays: list[Any], masks: Mapping[int, Mask]) -> ComparedRun:
    """One inference, and a hash of each tensor without the bytes that do not count."""
    hashes = {}

    def hashed(tensor: int, data: Octets) -> None:
        hashes[tensor] = _hash(data, masks.get(tensor))

    outputs = watched.run(arrays, None, hashed)
    return ComparedRun(outputs, hashes, {}, {})


def _twice(
    first: _Watched, second: _Watched, arrays: list[Any], element_bytes: Mapping[int, int]
) -> ComparedRun:
    """The same with both fills, and the bytes that are not determined."""
    filled: dict[int, Octets] = {}
    hashes, masks, computed = {}, {}, {}

    def compared(tensor: int, data: Octets) -> None:
        before = filled.pop(tensor)
        mask = before != data
        if mask.any():
            left = (before == FILL) & (data == FILL ^ 0xFF)
            made = (mask & ~left).reshape(-1, element_bytes[tensor]).any(axis=1)
            whole = np.repeat(made, element_bytes[tensor])
            masks[tensor] = mask = mask | whole
            computed[tensor] = int(np.count_nonzero(whole))
        hashes[tensor] = _hash(data, mask)

    def kept(tensor: int, data: Octets) -> None:
        filled[tensor] = data.copy()

    first.run(arrays, FILL, kept)
    outputs = second.run(arrays, FILL ^ 0xFF, compared)
    return ComparedRun(outputs, hashes, masks, computed)


def _hash(data: Octets, mask: Mask | None) -> bytes:
    counted = data if mask is None else np.where(mask, np.uint8(0), data)
    return blake2b(counted.tobytes(), digest_size=16).digest()


class _Watched:
    """An interpreter, and a profiler of ours that it calls around each operator."""

    def __init__(self, runtime: Any, model: bytes, job: Job) -> None:
        self.interpreter = interpret(runtime, model, job.arena_bytes)
        assert job.comparison is not None
        self.comparison = job.comparison
        self._job = job
        self._addresses = Addresses(self.interpreter, model, job)
        self._calls = [
            (call.name.encode(), [self._view(place) for place in call.places]) for call in job.calls
        ]
        self._next = self._strange = 0
        self._fill: int | None = None
        self._take: Callable[[int, Octets], None] = lambda _tensor, _data: None
        # As the C++ ABI of this platform has them: two destructors, then the interface's own.
        destroy = _DESTROY(lambda _this: None)
        self._methods = (destroy, destroy, _BEGIN(self._begin), _END(self._end))
        self._table = (ctypes.c_void_p * len(self._methods))(
            *(ctypes.cast(method, ctypes.c_void_p).value for method in self._methods)
        )
        self._object = ctypes.c_void_p(ctypes.addressof(self._table))
        attach(runtime, self.interpreter, ctypes.addressof(self._object))

    def _view(self, place: WatchedBuffer) -> _View:
        start = self._addresses.of(place)
        memory = (ctypes.c_uint8 * place.size_bytes).from_address(start)
        return int(place.name[1:]), np.ctypeslib.as_array(memory)

    def run(
        self, arrays: list[Any], fill: int | None, take: Callable[[int, Octets], None]
    ) -> tuple[bytes, ...]:
        """One inference; ``take`` gets each output, its tensor's number first, as its
        operator left it."""
        self._fill, self._take = fill, take
        self._next = self._strange = 0
        give(self.interpreter, arrays, self._addresses, self._job)
        self.interpreter.Invoke()
        check_calls(self._next, self._strange, len(self._calls))
        return taken(self.interpreter, self._addresses, self._job)

    def _begin(self, _this: int, tag: bytes) -> int:
        number = self._next
        self._next += 1
        if number >= len(self._calls) or tag != self._calls[number][0]:
            self._strange = self._strange or number + 1
        elif self._fill is not None:
            for tensor, data in self._calls[number][1]:
                if tensor in self.comparison.filled:
                    data.fill(self._fill)
        return number

    def _end(self, _this: int, number: int) -> None:
        if not self._strange and number < len(self._calls):
            for tensor, data in self._calls[number][1]:
                self._take(tensor, data)


_View = tuple[int, Octets]

if __name__ == "__main__":
    serve(records)
