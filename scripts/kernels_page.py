"""The tables of docs/kernels.md.

Random layers on four sets of compiled kernels; what parts from the formulas, or is not
tight, needs its reason here, and the reason its section on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagmem.analysis.safe import Placement
from diagmem.base.errors import DiagmemError
from diagmem.base.progress import Progress
from diagmem.check.judge import SEEDS, Finding
from diagmem.check.kernel_set import LayerOutcome, LayerRun
from diagmem.check.results import Count, count
from diagmem.check.sets import kernel_set
from diagmem.check.sweep import check
from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.analytical import exact
from diagmem.ops.attributes import parse_words
from diagmem.ops.operator import REFERENCE
from diagmem.tflm.processes import kernels_name
from scripts.page_tables import DOCS, SEED, each, link, table

KERNELS_PAGE = DOCS / "kernels.md"

SETS = ("c-O0", "c-O2", "c-O3", "tflm")
CASES = 60
STEPS = 5
"""Displacements tried between the traced D and the formula's."""

ONCE_A_ROW = "An operand is loaded once a row"
VECTORS = "Vectors, and a look at the distance"
REASONS: Mapping[tuple[str, str], str] = {
    **{
        (operator, "tflm"): ONCE_A_ROW
        for operator in "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE".split()
    },
    ("PRELU", "tflm"): "Alpha is loaded where it is needed",
    **{(operator, "c-O3"): VECTORS for operator in "CAST DEQUANTIZE PACK".split()},
}
"""Why a set's kernels of an operator part from the formulas: a heading of the page."""

COPY, VALUES, ROUNDED = "What memcpy promises", "Values that make no difference", "Rounded away"
NOT_TIGHT: Mapping[str, str] = {
    **dict.fromkeys(
        "CONCATENATION EXPAND_DIMS RESHAPE SQUEEZE STRIDED_SLICE RESIZE_NEAREST_NEIGHBOR".split(),
        COPY,
    ),
    **dict.fromkeys(
        "MAXIMUM MINIMUM PRELU MAX_POOL_2D REDUCE_MAX MIRROR_PAD RESIZE_BILINEAR".split(), VALUES
    ),
    **dict.fromkeys("AVERAGE_POOL_2D FULLY_CONNECTED".split(), ROUNDED),
}
"""Why one element less does no visible damage: a heading of the page."""


def make_kernels(jobs: int) -> None:
    progress = Progress("checking")
    findings = check(
        tuple(OPERATORS), SETS, cases=CASES, seed=SEED, jobs=jobs, advance=progress.share
    )
    progress.done()
    need_reasons(findings)
    page = KERNELS_PAGE.read_text(encoding="utf-8")
    for name, lines in _blocks(findings).items():
        page = replaced(page, name, lines)
    KERNELS_PAGE.write_text(page, encoding="utf-8")


def need_reasons(findings: Sequence[Finding]) -> None:
    """Raises DiagmemError for what parts from the formulas, or is not tight, unexplained."""
    for one in count(findings):
        if one.equal < one.cases and (one.operator, one.kernels) not in REASONS:
            raise DiagmemError(
                f"{one.operator} on {one.kernels}: {one.cases - one.equal} of {one.cases} layers"
                " part from the formulas, expected a reason in REASONS"
            )
    for operator in _loose(findings):
        if operator not in NOT_TIGHT:
            raise DiagmemError(f"{operator}: not always tight, expected a reason in NOT_TIGHT")


def replaced(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with these lines between the marks of that name."""
    begin, end = f"<!-- made by make tables: {name} -->", f"<!-- end of {name} -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise DiagmemError(f"{KERNELS_PAGE.name}: no marks of {name}, expected {begin} and {end}")
    return "\n".join((f"{head}{begin}", "", *lines, "", f"{end}{tail}"))


def _blocks(findings: Sequence[Finding]) -> dict[str, list[str]]:
    counts = count(findings)
    return {
        "kernels": [
            f"{CASES} random layers of each of {len(OPERATORS)} operators, the same on all sets;"
            f" `tflm` is {kernels_name()}."
        ],
        "sets": _sets(counts),
        "differences": _differences(counts, findings),
        "not tight": _not_tight(findings),
        "refused": _refused(findings),
        "orders": _orders(),
    }


def _sets(counts: Sequence[Count]) -> list[str]:
    head = ("kernels", "layers", "equal", "looser", "unsafe", "right when overlapped", "refused")
    return table(head, (_set(name, [c for c in counts if c.kernels == name]) for name in SETS))


def _set(name: str, counts: Sequence[Count]) -> list[object]:
    fields = ("cases", "equal", "looser", "unsafe", "overlapped_equal", "refused")
    return [f"`{name}`", *(sum(getattr(one, field) for one in counts) for field in fields)]


def _differences(counts: Sequence[Count], findings: Sequence[Finding]) -> list[str]:
    head = ("operator", "kernels", "equal", "looser", "most, B", "unsafe", "held", "why")
    rows: list[list[object]] = []
    for one in counts:
        if one.equal == one.cases:
            continue
        looser = [f for f in findings if (f.operator, f.kernels) == (one.operator, one.kernels)]
        held = holding([f for f in looser if f.gap])
        rows.append(
            [
                *(f"`{one.operator}`", f"`{one.kernels}`", f"{one.equal} of {one.cases}"),
                *(one.looser, one.largest_gap_bytes, one.unsafe),
                f"{sum(held)} of {len(held)}",
                link(REASONS[one.operator, one.kernels]),
            ]
        )
    return table(head, rows)


def holding(findings: Sequence[Finding]) -> list[bool]:
    """Of pairs of one operator on one set: is every bit right at the traced D and at
    displacements from there to the formula's?"""
    if not findings:
        return []
    runs: list[LayerRun] = []
    starts = []
    for one in findings:
        layer = find_operator(one.operator).layer(parse_words(one.attributes.split()))
        cell = min(tensor.element_bytes for tensor in (*layer.inputs, *layer.outputs))
        steps = (one.exact - one.traced) // cell
        places = sorted({one.traced + cell * (steps * i // STEPS) for i in range(STEPS + 1)})
        starts.append(len(runs))
        for seed in range(one.seed, one.seed + SEEDS):
            runs.append(LayerRun(layer, seed))
            runs += [LayerRun(layer, seed, Placement(one.input, one.output, at)) for at in places]
    outcomes = kernel_set(findings[0].kernels).run(runs)
    ends = [*starts[1:], len(runs)]
    return [_all_right(runs[s:e], outcomes[s:e]) for s, e in zip(starts, ends, strict=True)]


def _all_right(runs: Sequence[LayerRun], outcomes: Sequence[LayerOutcome]) -> bool:
    right: LayerOutcome | None = None
    for run, seen in zip(runs, outcomes, strict=True):
        if run.placement is None:
            right = seen
        elif right is None or seen.stopped or right.stopped or not _equal(right, seen):
            return False
    return True


def _equal(right: LayerOutcome, seen: LayerOutcome) -> bool:
    return all(bytes(right.tensors[name]) == bytes(data) for name, data in seen.tensors.items())


def _loose(findings: Sequence[Finding]) -> dict[str, dict[str, tuple[int, int]]]:
    """By operator and set: pairs not tight, of how many; without those looser than the
    trace, which need no other reason."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for one in findings:
        if not one.refused and not one.gap:
            loose, pairs = found.setdefault(one.operator, {}).get(one.kernels, (0, 0))
            found[one.operator][one.kernels] = loose + (not one.tight), pairs + 1
    return {name: sets for name, sets in found.items() if any(n for n, _ in sets.values())}


def _not_tight(findings: Sequence[Finding]) -> list[str]:
    rows = []
    for operator, sets in _loose(findings).items():
        counts = [sets.get(name) for name in SETS]
        cells = ["-" if pair is None else f"{pair[0]} of {pair[1]}" for pair in counts]
        rows.append([f"`{operator}`", *cells, link(NOT_TIGHT[operator])])
    return table(("operator", *(f"`{name}`" for name in SETS), "why"), rows)


def _refused(findings: Sequence[Finding]) -> list[str]:
    """The layers that TFLM has no kernel for: whole types, or what it says of others."""
    rows: list[list[object]] = []
    for operator in OPERATORS:
        mine = [one for one in findings if (one.operator, one.kernels) == (operator, "tflm")]
        refused = [one for one in mine if one.refused]
        types = {_dtype(one) for one in refused} - {_dtype(one) for one in mine if not one.refused}
        if types:
            rows.append(
                [f"`{operator}`", len(refused), f"no kernel for {', '.join(sorted(types))}"]
            )
        rest = [one for one in refused if _dtype(one) not in types]
        if rest:
            said = sorted({one.refused for one in rest})
            rows.append([f"`{operator}`", len(rest), "; ".join(said)])
    return table(("operator", "layers", "why"), rows)


def _dtype(finding: Finding) -> str:
    return parse_words(finding.attributes.split())["dtype"]


def _orders() -> list[str]:
    rows: list[list[object]] = []
    for operator in OPERATORS.values():
        layer = operator.layer(parse_words(operator.example.split()))
        for order in operator.orders:
            ds = [
                each(p.min_displacement_bytes for p in exact(layer, operator.loop_nest(layer, o)))
                for o in (REFERENCE, order)
            ]
            rows.append([f"`{operator.name}`", f"`{order}`", f"`{operator.example}`", *ds])
    return table(("operator", "order", "layer", "D, reference", "D, this order"), rows)
