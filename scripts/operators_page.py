"""docs/operators.md and its pictures.

Every layer of the networks by closed form, by loop nest and by the paper's bound, and a
selection of them traced on TFLM.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from diagmem.analysis.overlap import Overlap
from diagmem.base.errors import DiagmemError
from diagmem.base.progress import Progress
from diagmem.check.sets import kernel_set
from diagmem.ops import find_operator
from diagmem.ops.analytical import Exact, exact
from diagmem.ops.answer import by_loop_nest
from diagmem.ops.attributes import parse_words
from diagmem.ops.layer import Layer
from diagmem.ops.operator import REFERENCE
from diagmem.ops.paper import LINES, Published, bound
from diagmem.plot.frontiers import draw
from diagmem.tflite.layers import NoRule, layer_of
from diagmem.tflite.zoo import names, open_zoo
from diagmem.tflm.processes import kernels_name
from scripts.page_tables import DOCS, SEED, each, percent, table

OPERATORS_PAGE = DOCS / "operators.md"

SHOWN = 6
"""Layers of an operator on the page."""
TRACED_BYTES = 300_000
"""Input and output of the largest layers that are traced."""

PICTURES = {
    "depthwise": ("DEPTHWISE_CONV_2D", "dtype=int8 input=1x16x16x8 filter=3x3"),
    "depthwise_stride_2": ("DEPTHWISE_CONV_2D", "dtype=int8 input=1x16x16x8 filter=3x3 stride=2x2"),
    "conv": ("CONV_2D", "dtype=int8 input=1x16x16x8 filter=3x3 output_channels=8"),
    "softmax": ("SOFTMAX", "dtype=int8 input=4x16"),
}
"""Of the frontiers, of layers so small that rows and pixels are seen."""


@dataclass(frozen=True, slots=True)
class Row:
    """A layer of some network: D of each input that is an activation, by formula and
    loop nest alike, and by the paper."""

    layer: Layer
    pairs: tuple[Exact, ...]
    paper: Published | None

    @property
    def size_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in (*self.layer.inputs, *self.layer.outputs))

    @property
    def smaller_bytes(self) -> int:
        """Of the first input and the output: what could be shared at most."""
        return min(self.pairs[0].input_bytes, self.pairs[0].output_bytes)

    @property
    def shares(self) -> list[float]:
        """O_s of each pair, as a part of the smaller tensor."""
        return [
            pair.safe_overlap_bytes / min(pair.input_bytes, pair.output_bytes)
            for pair in self.pairs
        ]

    @property
    def missed_bytes(self) -> int | None:
        """O_s that the paper does not claim; None where it claims nothing at all."""
        if self.paper is None or self.paper.refused:
            return None
        return self.pairs[0].safe_overlap_bytes - self.paper.safe_overlap_bytes

    @property
    def missed(self) -> float:
        """The same as a part of the smaller tensor."""
        return (self.missed_bytes or 0) / self.smaller_bytes

    @property
    def words(self) -> str:
        """Attributes as `diagmem formula` takes them, without those it would assume."""
        operator = find_operator(self.layer.operator)
        assumed = {a.name: a.default for a in operator.attributes if a.name != "dtype"}
        return " ".join(
            f"{name}={value}"
            for name, value in operator.words(self.layer).items()
            if self.layer.attributes[name] != assumed.get(name)
        )


def network_layers() -> list[tuple[Layer, tuple[str, ...]]]:
    """Every distinct layer of all networks, with those inputs that are activations."""
    found = {}
    for name in names():
        model = open_zoo(name)
        for number, operator in enumerate(model.operators):
            one = layer_of(model, operator)
            if isinstance(one, NoRule):
                raise DiagmemError(f"{name}: operator {number}: {one.reason}, expected a layer")
            live = tuple(tensor.name for tensor in one.layer.inputs if tensor.name in one.tensors)
            found[one.layer.operator, repr(one.layer), live] = one.layer, live
    return [found[key] for key in sorted(found)]


def row_of(entry: tuple[Layer, tuple[str, ...]]) -> Row:
    """Raises DiagmemError where the formula and the loop nest disagree."""
    layer, live = entry
    formulas = exact(layer, find_operator(layer.operator).loop_nest(layer))
    agree(layer, formulas, by_loop_nest(layer, isolated=False))
    return Row(layer, tuple(pair for pair in formulas if pair.input in live), bound(layer))


def agree(layer: Layer, formulas: Sequence[Exact], nests: Sequence[Overlap]) -> None:
    for formula, nest in zip(formulas, nests, strict=True):
        found, expected = formula.min_displacement_bytes, nest.min_displacement_bytes
        if found != expected:
            raise DiagmemError(
                f"{layer.operator} {layer.attributes}: D of {formula.input} is {found:,} by"
                f" formula, expected {expected:,} as by its loop nest"
            )


def all_rows(jobs: int) -> dict[str, list[Row]]:
    """The rows of each operator, operators by name."""
    layers = network_layers()
    rows: dict[str, list[Row]] = {}
    progress = Progress("layers")
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        for done, found in enumerate(pool.map(row_of, layers, chunksize=8), 1):
            rows.setdefault(found.layer.operator, []).append(found)
            progress.share(done, len(layers))
    progress.done()
    return rows


def traceable(row: Row) -> bool:
    return row.size_bytes <= TRACED_BYTES


def _stride(row: Row) -> bool:
    stride = row.layer.attributes.get("stride")
    return stride not in (None, (1, 1))


CHOICES: Mapping[str, tuple[Callable[[Row], bool], Callable[[Row], float]]] = {
    "largest": (lambda row: True, lambda row: row.size_bytes),
    "largest traced": (traceable, lambda row: row.size_bytes),
    "largest with a stride": (_stride, lambda row: row.size_bytes),
    "largest 1x1": (
        lambda row: row.layer.attributes.get("filter") == (1, 1),
        lambda row: row.size_bytes,
    ),
    "least overlap": (lambda row: min(row.shares) < 1, lambda row: -min(row.shares)),
    "most missed by the paper": (lambda row: bool(row.missed_bytes), lambda row: row.missed),
    "smallest": (lambda row: True, lambda row: -row.size_bytes),
}
"""Of which layers which is shown: that with the largest figure."""


def chosen(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Up to `SHOWN` layers, each with why; of equal ones the first."""
    found: dict[str, tuple[str, Row]] = {}
    for why, (wanted, figure) in CHOICES.items():
        left = [row for row in rows if wanted(row) and row.words not in found]
        if left and len(found) < SHOWN:
            best = max(left, key=figure)
            found[best.words] = why, best
    return list(found.values())


def make_operators(jobs: int) -> None:
    rows = all_rows(jobs)
    selected = {operator: chosen(found) for operator, found in rows.items()}
    wanted = [row for found in selected.values() for _, row in found if traceable(row)]
    traces = kernel_set("tflm").trace([row.layer for row in wanted], seed=SEED)
    traced = {}
    for row, trace in zip(wanted, traces, strict=True):
        if trace.stopped:
            raise DiagmemError(f"{row.layer.operator} {row.words}: {trace.stopped}")
        seen = {pair.input: pair.min_displacement_bytes for pair in trace.pairs}
        traced[row.layer.operator, row.words] = [seen[pair.input] for pair in row.pairs]
        if any(seen[p.input] > p.min_displacement_bytes for p in row.pairs):
            raise DiagmemError(f"{row.layer.operator} {row.words}: unsafe, D is {seen} by trace")
    for name, (operator, words) in PICTURES.items():
        layer = find_operator(operator).layer(parse_words(words.split()))
        draw(layer, REFERENCE, DOCS / "figures" / f"frontiers_{name}.png")
    lines = [*_head(rows), *_pictures()]
    for operator, found in selected.items():
        lines += ["", f"## {operator}", "", *_layers(operator, found, traced)]
    OPERATORS_PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _head(rows: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    layers = sum(map(len, rows.values()))
    yield from f"""\
# Operators: real layers by every method

Made by `make tables`; edits are lost. The layers are those of all networks of `diagmem
zoo`, in float32 and int8: {layers:,} distinct ones. [formulas.md](formulas.md) says what the
figures mean, where they come from and what the paper's bound is.

D and O_s are those of TFLite's reference loop order, in bytes. The closed form (`exact`)
and the loop nest run on indices (`algorithmic`) give the same D for every one of these
layers; where they did not, this page would not be made. The per cent are of the smaller
of input and output. "Missed" is the safe overlap that the paper's bound does not claim.
Constants, such as the vector of a batch normalisation, have no place in the arena, and
no line here.

""".splitlines()
    yield from table(
        (
            *("operator", "layers", "inputs", "exact = algorithmic", "O_s, mean", "O_s, least"),
            *("by the paper", "no claim", "missed, mean", "missed, most"),
        ),
        (_summary(operator, found) for operator, found in rows.items()),
    )


def _summary(operator: str, rows: Sequence[Row]) -> list[object]:
    shares = [share for row in rows for share in row.shares]
    figures: list[object] = [f"[`{operator}`](#{operator.lower()})", len(rows), len(shares)]
    figures += [len(shares), percent(sum(shares) / len(shares)), percent(min(shares))]
    claims = [row for row in rows if row.missed_bytes is not None]
    if operator not in LINES or not claims:
        return [*figures, "-", "-", "-", "-"]
    mean = sum(row.missed for row in claims) / len(claims)
    most = max(claims, key=lambda row: row.missed)
    return [
        *(*figures, len(claims), len(rows) - len(claims), f"{100 * mean:.2f} %"),
        f"{100 * most.missed:.1f} %: {most.missed_bytes:,} B",
    ]


def _pictures() -> Iterator[str]:
    yield from f"""
Each layer below was chosen for what its first column says. The attributes are written as
`diagmem formula` takes them. Layers with {TRACED_BYTES:,} bytes of input and output or less
were traced, on {kernels_name()}; the others have a dash. Where several inputs are
activations, each has its figure, in order.

## Four pictures

What is written (the highest output byte so far) and what is still needed (the lowest input
byte yet to be read), step by step; on the right the input moved D bytes up, where the two
just touch. `diagmem formula ... -o FILE.png` draws any layer.
""".splitlines()
    for name, (operator, words) in PICTURES.items():
        yield from ("", f"`{operator} {words}`", "")
        yield f"![frontiers of {operator} {words}](figures/frontiers_{name}.png)"


def _layers(
    operator: str,
    selected: Sequence[tuple[str, Row]],
    traced: Mapping[tuple[str, str], Sequence[int]],
) -> list[str]:
    head = ["chosen as", "layer", "input", "output", "D", "traced", "O_s"]
    head += ["D by the paper", "missed"] if operator in LINES else []
    return table(
        head, (_line(why, row, traced.get((operator, row.words))) for why, row in selected)
    )


def _line(why: str, row: Row, traced: Sequence[int] | None) -> list[object]:
    cells: list[object] = [
        why,
        f"`{row.words}`",
        each(pair.input_bytes for pair in row.pairs),
        row.pairs[0].output_bytes,
        each(pair.min_displacement_bytes for pair in row.pairs),
        "-" if traced is None else each(traced),
        each(percent(share) for share in row.shares),
    ]
    if row.paper is None:
        return cells
    if row.missed_bytes is None:
        return [*cells, "no claim", "-"]
    missed = f"{row.missed_bytes:,} B, {100 * row.missed:.1f} %"
    return [*cells, row.paper.min_displacement_bytes, missed]
