"""Recording by the Python API: a program or a described kernel, and the trace of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from diagmem.analysis.trace import Trace
from diagmem.kernels.catalog import find
from diagmem.kernels.description import load
from diagmem.kernels.tracing import trace_kernel
from diagmem.record import recorder
from diagmem.record.places import BufferPlace
from diagmem.record.request import Mode, Request
from diagmem.trace.window import Role


def record(
    command: Sequence[str],
    output: str | os.PathLike[str],
    *,
    mode: Mode = "events",
    functions: Sequence[str] = (),
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    buffers: Mapping[str, str] | None = None,
) -> Trace:
    """Run a program under the tool and open the trace of it.

    ``inputs``, ``outputs`` and ``buffers`` map names to places, as in
    ``diagmem trace --input NAME=PLACE``; an existing ``output`` is replaced, except by a
    recording that was cut, which goes beside it.

    Raises
    ------
    DiagmemError
        If the program, the tool or a symbol is not there, or no window opened.
    """
    places = [
        BufferPlace(name, role, place)
        for role, given in ((Role.INPUT, inputs), (Role.OUTPUT, outputs), (Role.OTHER, buffers))
        for name, place in (given or {}).items()
    ]
    request = Request(
        command=list(command),
        mode=mode,
        functions=functions,
        buffers=places,
        keep_when_interrupted=True,
    )
    return Trace(recorder.record(request, Path(output)).path)


def record_kernel(
    kernel: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    mode: Mode = "events",
    seed: int = 0,
    **parameters: object,
) -> Trace:
    """Trace a described kernel (a TOML file or a bundled name) and open the trace.

    ``parameters`` replace those of the description.  Raises as `record` does.
    """
    overrides = {name: str(value) for name, value in parameters.items()}
    described = load(find(os.fspath(kernel)), overrides)
    return Trace(trace_kernel(described, Path(output), mode=mode, seed=seed).path)
