"""Measured overlaps of a network, and the JSON file they are kept in.

    {"format": "diagmem-overlaps", "version": 1, "model": {...}, "kernels": {...},
     "operators": [{"index": 0, "operator": "CONV_2D", ..., "pairs": [{...}]}]}

Fields are added, never renamed.  Sizes and displacements are bytes, times seconds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from diagmem.analysis.overlap import DATA_DEPENDENT
from diagmem.analysis.safe import Safe
from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.base.text import printable
from diagmem.networks.steering import steering
from diagmem.tflite.facts import facts_of, in_words
from diagmem.tflite.graph import Model

FORMAT = "diagmem-overlaps"
VERSION = 1
MAX_BYTES = 1 << 28
LARGEST_ARENA_BYTES = (1 << 31) - 1
"""A plan's offsets are 32-bit integers."""
FRONTIER_SAMPLES = 33
SAMPLED = "sampled"
LIMITS = (DATA_DEPENDENT, SAMPLED, "damage may stay hidden", "conservative")
"""How notes begin that say what an overlap is not proven for."""


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """An input and an output of one operator: what the trace says, beside the formula.

    Attributes
    ----------
    input, output : tensor numbers.
    dies : nobody reads the input after this operator.
    min_displacement_bytes, mirror_displacement_bytes : as `diagmem.analysis.overlap.Overlap`.
    in_place : displacement 0 is safe.
    formula_displacement_bytes : D of the closed form; None where there is none.
    formula_says : equal, looser, unsafe, or why there is no formula.
    written, needed : the two frontiers at `FRONTIER_SAMPLES` evenly spaced times from
        the call's beginning to its end: behind the highest output byte written so far,
        and the lowest input byte needed from then on (its size if none is).
    notes : what about the trace a reader of D should know.
    unit_bytes : only displacements that are multiples of it may be used.
    in_place_only : the kernel has one buffer for both: they must lie at one place.
    """

    input: int
    output: int
    dies: bool
    input_bytes: int
    output_bytes: int
    min_displacement_bytes: int
    mirror_displacement_bytes: int
    in_place: bool
    safe_overlap_bytes: int
    formula_displacement_bytes: int | None
    formula_says: str
    notes: tuple[str, ...]
    written: tuple[int, ...]
    needed: tuple[int, ...]
    unit_bytes: int = 1
    in_place_only: bool = False

    @property
    def safe(self) -> Safe:
        """Its displacements that are safe, but for the unit."""
        return Safe(
            str(self.input),
            str(self.output),
            self.input_bytes,
            self.output_bytes,
            self.min_displacement_bytes,
            self.mirror_displacement_bytes,
            (0,) if self.in_place else (),
        )

    @property
    def limits(self) -> tuple[str, ...]:
        """Those of the notes that begin as one of `LIMITS`."""
        return tuple(note for note in self.notes if note.startswith(LIMITS))


@dataclass(frozen=True, slots=True)
class MeasuredOperator:
    """One operator's call.

    Attributes
    ----------
    seconds : natively; 0 where it ran on another processor's emulator.
    events : loads and stores that touched its tensors, scratch, or watched weights.
    scratch_bytes : bytes of the arena it touched outside of its tensors.
    weights_read_bytes : bytes of constants it loaded; None where nobody looked.
    live_bytes : tensors that the arena holds meanwhile.
    needed_bytes : of these, the most that hold a value still needed at one time.
    kernel : the description it was measured on; empty where the whole network ran.
    facts : by which that was picked, besides shapes (`diagmem.tflite.facts`).
    build, call : that kernel's `diagmem.kernels.build.Built.identity` and
        `diagmem.kernels.kept.call_identity`.
    other_compilers : which of them make something else of its source.
    """

    index: int
    operator: str
    seconds: float
    events: int
    scratch_bytes: int
    weights_read_bytes: int | None
    live_bytes: int
    needed_bytes: int
    pairs: tuple[MeasuredPair, ...]
    kernel: str = ""
    facts: str = ""
    build: str = ""
    call: str = ""
    other_compilers: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """All operators of a model, on one set of kernels.

    Attributes
    ----------
    model : name, sha256 of the graph, and how many tensors and operators it has.
    kernels : the set and its version, the target, and what measured it.
    about : inputs, arena and times; of described kernels also the ``library``, its
        ``parameters`` and the ``target``.
    """

    model: Mapping[str, Any]
    kernels: Mapping[str, str]
    about: Mapping[str, Any]
    operators: tuple[MeasuredOperator, ...]

    @property
    def described(self) -> bool:
        """Was it measured on described kernels, each operator by itself?"""
        return "proven" in self.kernels

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": dict(self.model),
            "kernels": dict(self.kernels),
            **self.about,
            "operators": [dataclasses.asdict(operator) for operator in self.operators],
        }


def identity(model: Model) -> dict[str, Any]:
    """What tells one graph from another: tensors, operators and their order.

    Weights and plans do not count: neither changes which overlaps are safe.  Constants
    that steer an operator do, such as the order of a TRANSPOSE.
    """
    hashed = sha256()
    for tensor in model.tensors:
        hashed.update(repr((tensor.shape, tensor.dtype, tensor.constant, tensor.variable)).encode())
    for operator in model.operators:
        options = sorted(operator.options.items())
        hashed.update(repr((operator.name, operator.inputs, operator.outputs, options)).encode())
        for number in steering(operator):
            hashed.update(model.constant_data(model.tensors[number]))
    hashed.update(repr((model.inputs, model.outputs)).encode())
    return {
        "name": Path(model.path).name,
        "graph_sha256": hashed.hexdigest(),
        "tensors": len(model.tensors),
        "operators": len(model.operators),
    }


def write_overlaps(measured: Measured, path: Path) -> None:
    """Write the file; an older one of that name is replaced at the end."""
    text = json.dumps(measured.as_json(), indent=1) + "\n"
    with replacing(path) as file:
        file.write(text.encode())


def read_overlaps(path: Path, model: Model) -> Measured:
    """Overlaps that were measured on this very graph.

    Raises
    ------
    DiagmemError
        The file is no such file, or of another graph.
    """
    return overlaps_of(load_overlaps(path), path, model)


def overlaps_of(data: Mapping[str, Any], path: Path, model: Model) -> Measured:
    """As `read_overlaps`, from what `load_overlaps` read of the file."""
    try:
        measured = Measured(
            model=dict(data["model"]),
            kernels={str(key): _printable(value) for key, value in data["kernels"].items()},
            about={
                key: value
                for key, value in data.items()
                if key not in ("format", "version", "model", "kernels", "operators")
            },
            operators=tuple(_operator(entry) for entry in data["operators"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DiagmemError(
            f"{path}: found no usable {error}, expected overlaps that diagmem measure wrote"
        ) from None
    _check(path, measured, model)
    return measured


def load_overlaps(path: Path) -> dict[str, Any]:
    """The file's entries, of which only format and version are checked."""
    refuse_other(path, FileType.OVERLAPS, maybe=[FileType.JSON])
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DiagmemError(f"{path}: is larger than {MAX_BYTES:,} bytes, expected overlaps")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DiagmemError(f"{path}: cannot be read as overlaps: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DiagmemError(f"{path}: expected overlaps that diagmem measure wrote")
    if data.get("version") != VERSION:
        raise DiagmemError(
            f"{path}: is of version {data.get('version')!r}, this diagmem reads {VERSION}"
        )
    return data


def _printable(text: object) -> str:
    """What is printed and goes into planned models."""
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError("kernels")
    return text


def _operator(entry: Mapping[str, Any]) -> MeasuredOperator:
    pairs = tuple(_pair(pair) for pair in entry["pairs"])
    return MeasuredOperator(**_values(MeasuredOperator, {**entry, "pairs": pairs}))


def _pair(entry: Mapping[str, Any]) -> MeasuredPair:
    listed = {name: tuple(entry[name]) for name in ("written", "needed")}
    listed["notes"] = tuple(
        printable(note) if isinstance(note, str) else note for note in entry["notes"]
    )
    return MeasuredPair(**_values(MeasuredPair, {**entry, **listed}))


def _values(kind: type[MeasuredOperator | MeasuredPair], entry: Mapping[str, Any]) -> Any:
    """Those of the entries that there is a field for, each of its type."""
    values = {
        field.name: entry[field.name]
        for field in dataclasses.fields(kind)
        if field.name in entry or field.default is dataclasses.MISSING
    }
    for field in dataclasses.fields(kind):
        value = values.get(field.name, field.default)
        if not isinstance(value, _TYPES[str(field.type)]) or not _usable(str(field.type), value):
            raise ValueError(field.name)
    return values


def _usable(kind: str, value: Any) -> bool:
    """Are whole numbers from 0 up, frontiers sampled as they should be, notes texts?"""
    if kind == "str":
        return str(value).isprintable()
    if kind == "tuple[int, ...]":
        return len(value) == FRONTIER_SAMPLES and all(map(_is_count, value))
    if kind == "tuple[str, ...]":
        return all(isinstance(note, str) for note in value)
    return _is_count(value) if kind.startswith("int") and value is not None else True


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "tuple[str, ...]": (tuple,),
    "tuple[int, ...]": (tuple,),
    "tuple[MeasuredPair, ...]": (tuple,),
}


def _check(path: Path, overlaps: Measured, model: Model) -> None:
    """The overlaps are this model's, operator by operator and tensor by tensor."""
    mine = identity(model)
    if overlaps.model.get("graph_sha256") != mine["graph_sha256"]:
        raise DiagmemError(
            f"{path}: was measured on {str(overlaps.model.get('name'))[:60]!r}, another graph than"
            f" {model.path}: expected {mine['tensors']} tensors, {mine['operators']} operators,"
            f" graph_sha256 {mine['graph_sha256'][:12]}..."
        )
    if [o.index for o in overlaps.operators] != list(range(len(model.operators))):
        raise DiagmemError(
            f"{path}: found {len(overlaps.operators)} operators, expected {len(model.operators)}"
        )
    for measured, operator in zip(overlaps.operators, model.operators, strict=True):
        if measured.scratch_bytes > LARGEST_ARENA_BYTES:
            raise DiagmemError(
                f"{path}: {operator.label}: found {measured.scratch_bytes} bytes of scratch,"
                f" expected {LARGEST_ARENA_BYTES:,} at most"
            )
        facts = in_words(facts_of(model, operator))
        if measured.facts not in ("", facts):
            raise DiagmemError(
                f"{path}: {operator.label}: was measured with {measured.facts}, expected {facts}"
            )
        if len({(pair.input, pair.output) for pair in measured.pairs}) < len(measured.pairs):
            raise DiagmemError(
                f"{path}: {operator.label}: found a pair of tensors twice, expected each once"
            )
        for pair in measured.pairs:
            if pair.input not in operator.inputs or pair.output not in operator.outputs:
                raise DiagmemError(
                    f"{path}: {operator.label}: found a pair of tensors {pair.input} and"
                    f" {pair.output}, which are not its input and output"
                )
            sizes = model.tensors[pair.input].size_bytes, model.tensors[pair.output].size_bytes
            if (pair.input_bytes, pair.output_bytes) != sizes:
                raise DiagmemError(
                    f"{path}: {operator.label}: found tensors of {pair.input_bytes} and"
                    f" {pair.output_bytes} bytes, expected {sizes[0]} and {sizes[1]}"
                )
