"""Whole models run by stock TFLM: natively, or under the tool with a window for each
operator's call."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from diagmem.base.errors import DiagmemError
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.record.recorder import record
from diagmem.record.request import Recorded, Request
from diagmem.tflite.graph import PLANNED_ONLINE, Model
from diagmem.tflm.child.job import (
    ArenaUse,
    ComparedRun,
    Job,
    NetworkRun,
    Record,
    Refused,
    WatchedCall,
)
from diagmem.tflm.inputs import generator
from diagmem.tflm.processes import (
    child_process,
    how_ended,
    kernels_name,
    last_words,
    read_records,
    run_natively,
)
from diagmem.tflm.profiler_library import profiler_library

if TYPE_CHECKING:
    from diagmem.tflite.elements import ModelTensor

NATIVE_SECONDS = 3600.0
SPARE_BYTES = 32 << 20
BYTES_PER_OPERATOR = 8 << 10
"""For what the interpreter keeps of each, with room."""

Array = npt.NDArray[Any]
Inputs = Sequence[Array]
"""One array for each of a model's inputs."""

NAMES_LISTED = 20
"""Of arrays in a file, where the right one is not there."""

_UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError),
    *(BadZipFile, zlib.error, lzma.LZMAError),
)
"""What zipfile and numpy raise for archives that are damaged, encrypted or odd."""


Run = TypeVar("Run", NetworkRun, ComparedRun)


# Without slots, for which Python 3.11 could not call NetworkOutcome[...].
@dataclass(frozen=True)
class NetworkOutcome(Generic[Run]):
    """``refused`` says why there are not as many runs as inputs; empty if there are."""

    arena: ArenaUse | None
    runs: tuple[Run, ...]
    refused: str


def random_inputs(model: Model, seed: int) -> list[Array]:
    """Floats from -1 to 1, 8-bit integers over their whole range, others small."""
    return [_random(model.tensors[index], seed) for index in model.inputs]


def _random(tensor: ModelTensor, seed: int) -> Array:
    random = generator(f"{tensor.index}", seed)
    if tensor.dtype.startswith("float"):
        return random.uniform(-1, 1, tensor.shape).astype(tensor.dtype)
    if tensor.dtype == "bool":
        return random.integers(0, 2, tensor.shape).astype(np.bool_)
    if tensor.dtype not in ("int8", "uint8", "int16", "int32", "int64"):
        raise DiagmemError(f"input {tensor.name!r} is {tensor.dtype}: give its values by --inputs")
    limits = np.iinfo(tensor.dtype)
    low, high = (limits.min, limits.max + 1) if limits.bits <= 16 else (0, 2)
    return random.integers(low, high, tensor.shape).astype(tensor.dtype)


def read_inputs(model: Model, path: Path) -> list[Array]:
    """Values from an ``.npz`` file: an array for each input, by its tensor's name.

    Raises
    ------
    DiagmemError
        The file cannot be read, or an array is missing or of another shape or type.
    """
    refuse_other(path, FileType.ARRAYS)
    try:
        with path.open("rb") as raw:
            file = np.load(raw, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DiagmemError(f"{path}: is one array without a name, expected an .npz file")
            return [_read_input(file, path, model.tensors[index]) for index in model.inputs]
    except _UNREADABLE as error:
        raise DiagmemError(f"{path}: cannot be read as .npz: {error}") from None


def _read_input(file: np.lib.npyio.NpzFile, path: Path, tensor: ModelTensor) -> Array:
    """One array; its header is looked at before it is loaded, as it may claim any size."""
    if tensor.name not in file.files:
        names = ", ".join(file.files[:NAMES_LISTED]) or "none"
        raise DiagmemError(f"{path}: found {names}, expected an array {tensor.name!r}")
    assert file.zip is not None
    member = f"{tensor.name}.npy"
    with file.zip.open(member if member in file.zip.namelist() else tensor.name) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(
            stream
        )
    if shape != tensor.shape or dtype.name != tensor.dtype:
        raise DiagmemError(
            f"{path}: {tensor.name!r} is {dtype.name} {shape},"
            f" expected {tensor.dtype} {tensor.shape}"
        )
    array: Array = file[tensor.name]
    return array


def run_network(
    model: Model,
    inputs: Sequence[Inputs],
    *,
    calls: Sequence[WatchedCall] = (),
    timeout_seconds: float = NATIVE_SECONDS,
) -> NetworkOutcome[NetworkRun]:
    """Run a model natively in one interpreter, once for each set of inputs.

    With ``calls`` each operator's time is taken.  A model that TFLM refuses, or that takes
    the process down, is an outcome like any other.

    Raises
    ------
    DiagmemError
        tflite-micro is not there.
    """
    job = network_job(model, inputs, calls, profiler_library() if calls else None)
    with child_process("network", [job]) as (command, results):
        how = run_natively(command, timeout_seconds)
        return outcome_of(results, how, len(inputs), NetworkRun)


def trace_network(
    model: Model,
    inputs: Inputs,
    calls: Sequence[WatchedCall],
    output: Path,
    *,
    progress: bool = False,
) -> tuple[Recorded, NetworkOutcome[NetworkRun]]:
    """Run a planned model once under the tool: a summary with a window for each call.

    Raises
    ------
    DiagmemError
        tflite-micro or the tool is not there, or no operator was reached.
    """
    job = network_job(model, [inputs], calls, profiler_library())
    with child_process("network", [job]) as (command, results):
        request = Request(command=command, mode="summary", about={"kernels": kernels_name()})
        try:
            recorded = record(request, output, progress=progress)
        except DiagmemError as error:
            refusal = _refusal(read_records(results))
            raise DiagmemError(
                f"TFLM under Valgrind: {refusal}" if refusal else str(error)
            ) from None
        return recorded, outcome_of(results, how_ended(recorded.exit_code), 1, NetworkRun)


def network_job(
    model: Model, inputs: Sequence[Inputs], calls: Sequence[WatchedCall], profiler: Path | None
) -> Job:
    """One for `child_process`, with room in the arena for all tensors apart."""
    path = Path(model.path)
    held = sum(tensor.size_bytes for tensor in model.activations)
    return Job(
        model=str(path.resolve()) if path.is_file() else bytes(model.data),
        arena_bytes=held + SPARE_BYTES + BYTES_PER_OPERATOR * len(model.operators),
        offsets={i: at for i, at in enumerate(model.plan or ()) if at != PLANNED_ONLINE},
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        runs=[[np.ascontiguousarray(array) for array in arrays] for arrays in inputs],
        calls=list(calls),
        profiler=str(profiler or ""),
    )


def outcome_of(results: Path, how: str, expected: int, kind: type[Run]) -> NetworkOutcome[Run]:
    """What a child has written of so many runs, and ``how`` it ended."""
    records = read_records(results)
    arena = next((record for record in records if isinstance(record, ArenaUse)), None)
    runs = tuple(record for record in records if isinstance(record, kind))
    refused = _refusal(records)
    if not refused and len(runs) < expected:
        refused = last_words(how, results)
    return NetworkOutcome(arena, runs, refused)


def _refusal(records: Iterable[Record]) -> str:
    """Why TFLM would not; empty where it did not say."""
    return next((record.why[:400] for record in records if isinstance(record, Refused)), "")
