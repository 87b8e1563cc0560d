"""The results in docs/results.md and in the README: ``make results``.

Each of the eleven networks gets seeded weights, is measured on TFLM's kernels under
Valgrind, planned from what was measured and by formula, written, and run on TFLM beside
the original.  Every step leaves a file in the work directory and is not done again, so
a run that was cut goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from diagmem.arena import PLANNERS, Options, Step
from diagmem.arena.baseline import first_fit
from diagmem.boards.board import shipped_boards
from diagmem.boards.fit import judge, needs_of
from diagmem.networks.measured import Measured, read_overlaps, write_overlaps
from diagmem.networks.on_tflm import measure
from diagmem.networks.permissions import permissions_of, problem_of
from diagmem.networks.planning import NetworkPlan, plan_network, write_plan
from diagmem.networks.verify import verify_network
from diagmem.plot.arena import draw_arenas
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.zoo import NETWORKS, PAPER, open_zoo, write_filled
from diagmem.tflm.network import random_inputs
from diagmem.tflm.processes import kernels_name

HERE = Path(__file__).resolve().parent.parent
PAGE = HERE / "docs" / "results.md"
DATA = HERE / "docs" / "results.json"
FIGURES = HERE / "docs" / "figures"
README = HERE / "README.md"
MARKS = ("<!-- results: made by make results -->", "<!-- end of results -->")
SEED = 0
RUNS = 2
IN_README = (
    "mobilenet_v1_0.25_128_int8",
    "mobilenet_v2_1.0_224_f32",
    "inception_resnet_v2_f32",
    "nasnet_mobile_f32",
    "densenet121_f32",
)
DRAWN = ("mobilenet_v1_0.25_128_int8", "mobilenet_v2_1.0_224_f32", "nasnet_mobile_f32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=HERE / "build" / "results")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    found = {name: result(name, args.work) for name in args.only or PAPER}
    if args.only:
        print(json.dumps(found, indent=1))
        return
    DATA.write_text(json.dumps({"kernels": kernels_name(), "networks": found}, indent=1) + "\n")
    PAGE.write_text("\n".join(page(found)) + "\n", encoding="utf-8")
    into_readme(readme_lines(found))
    print(f"{PAGE.relative_to(HERE)}, {DATA.relative_to(HERE)} and {README.name} are made")


def result(name: str, work: Path) -> dict[str, Any]:
    """All figures of a network; those that take long come from files that are there."""
    files = {kind: work / f"{name}.{kind}" for kind in ("tflite", "overlaps.json", "verdict.json")}
    verdict = _kept(files["verdict.json"])
    if verdict is None:
        verdict = _verified(name, files, work)
    graph = open_zoo(name)
    measured = read_overlaps(files["overlaps.json"], graph)
    options = Options(seed=SEED)
    plans = {
        "measured": plan_network(graph, measured, options=options),
        "exact": plan_network(graph, "exact", options=options),
        "paper": plan_network(graph, "paper", options=options),
        "none": plan_network(graph, "none", options=options),
    }
    _draw(name, plans, measured)
    pairs = [pair for operator in measured.operators for pair in operator.pairs if pair.dies]
    says = [pair.formula_says for pair in pairs]
    whole = plans["measured"]
    return {
        "dtype": NETWORKS[name].dtype,
        "operators": len(graph.operators),
        "baseline_bytes": dict(whole.baselines),
        "arena_bytes": {kind: plan.plan.arena_bytes for kind, plan in plans.items()},
        "optimal": {kind: plan.plan.optimal for kind, plan in plans.items()},
        "lower_bound_bytes": {kind: plan.plan.lower_bound_bytes for kind, plan in plans.items()},
        "saving_percent": {key: round(whole.saving_percent(key), 1) for key in whole.baselines},
        "intermediate": _intermediate_saving(graph, measured),
        "pairs": len(pairs),
        "formula": {word: says.count(word) for word in ("equal", "looser", "unsafe")},
        "verified": verdict,
        "boards_only_with_overlap": _boards(graph, measured),
    }


def _boards(graph: Model, measured: Measured) -> list[str]:
    """Those that the network fits on with overlap and not without."""
    needs = needs_of(graph, measured)
    found = [judge(needs, board) for board in shipped_boards()]
    return [one.board.name for one in found if one.verdict == "only with overlap"]


def _kept(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return kept if kept["kernels"] == kernels_name() else None


def _verified(name: str, files: Mapping[str, Path], work: Path) -> dict[str, Any]:
    """Make weights, measure, plan, write, and run both: what takes long."""
    model_file, overlaps = files["tflite"], files["overlaps.json"]
    if not model_file.is_file():
        _timed(name, "weights", lambda: write_filled(name, model_file, SEED))
    model = read_model(model_file)
    if not overlaps.is_file():
        inputs = random_inputs(model, SEED)
        seen = _timed(name, "measured", lambda: measure(model, inputs, said=f"random, seed {SEED}"))
        write_overlaps(seen, overlaps)
    plan = plan_network(model, read_overlaps(overlaps, model), options=Options(seed=SEED))
    planned_file = work / f"{name}.planned.tflite"
    write_plan(plan, planned_file)
    inputs_of = [random_inputs(model, SEED + i) for i in range(RUNS)]
    verdict = _timed(
        name, "verified", lambda: verify_network(model, read_model(planned_file), inputs_of)
    )
    assert verdict.arena is not None
    assert verdict.planned_arena is not None
    kept = {
        "kernels": kernels_name(),
        "identical": verdict.identical,
        "difference": verdict.difference,
        "runs": verdict.runs,
        "arena_head_bytes": [verdict.arena.head_bytes, verdict.planned_arena.head_bytes],
        "arena_total_bytes": [verdict.arena.total_bytes, verdict.planned_arena.total_bytes],
        "predicted_head_bytes": verdict.predicted_bytes,
        "model_bytes": model_file.stat().st_size,
    }
    files["verdict.json"].write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    # Weights are seeded: what takes disk space can be made again.
    planned_file.unlink()
    model_file.unlink()
    return kept


def _timed(name: str, what: str, work: Callable[[], Any]) -> Any:
    begin = time.monotonic()
    done = work()
    print(f"{name}: {what} in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return done


def _intermediate_saving(graph: Model, arena_overlaps: Measured) -> dict[str, Any]:
    """The plan and first fit on the tensors between the model's inputs and outputs alone."""
    problem = problem_of(graph, permissions_of(graph, arena_overlaps))
    outside = {*graph.inputs, *graph.outputs}
    inner = replace(
        problem,
        blocks=tuple(b for b in problem.blocks if b.tensor not in outside),
        permissions=tuple(p for p in problem.permissions if not {p.input, p.output} & outside),
        steps=tuple(
            Step(
                step.name,
                tuple(t for t in step.reads if t not in outside),
                tuple(t for t in step.writes if t not in outside),
            )
            for step in problem.steps
        ),
    )
    options = Options(seed=SEED)
    planned = PLANNERS["auto"](inner, options).arena_bytes
    fitted = first_fit(inner, options).arena_bytes
    return {
        "arena_bytes": planned,
        "first_fit_bytes": fitted,
        "saving_percent": round(100 * (1 - planned / fitted), 1),
    }


def _draw(name: str, plans: Mapping[str, NetworkPlan], measured: Measured) -> None:
    if name in DRAWN:
        FIGURES.mkdir(exist_ok=True)
        path = FIGURES / f"arena_{name}.png"
        drawn = {"before": plans["none"], "after": plans["measured"]}
        draw_arenas(drawn, path, measured=measured)


# ---- the pages ----


def page(found: Mapping[str, Any]) -> Iterator[str]:
    """docs/results.md."""
    yield "# Results"
    yield ""
    yield "Made by `make results`; the figures are in [results.json](results.json). Kernels:"
    yield f"{kernels_name()}, x86_64. Sizes in KiB, model inputs and outputs included. Weights"
    yield "are seeded; they change nothing of what is measured here but the bits compared."
    yield ""
    yield "## Arenas"
    yield from _arena_table(found, list(found))
    yield ""
    yield "*Largest live sum*: no plan without overlap is smaller. *TFLM*, *first fit*: its greedy"
    yield "planner, and tensors in order of definition, each in the lowest gap. *By formula*: the"
    yield "plan from closed forms. *By the paper*: from the authors' bound, mended where it is"
    yield "unsafe. *Measured*: the plan from overlaps that were measured on TFLM's own compiled"
    yield "kernels; a dot says that no smaller arena exists by these overlaps. *Saved* is against"
    yield "TFLM's plan and against the largest live sum."
    yield from _as_run(found)
    yield from _agreement(found)
    yield from _intermediate(found)
    yield ""
    yield "## Boards that only the smaller plan reaches"
    yield "Of the table that `diagmem fit --list` prints: RAM for arena, interpreter and 8 KiB of"
    yield "stack, and flash for the model where the board's flash is known"
    yield "([boards.md](boards.md))."
    yield ""
    for name, one in found.items():
        boards = one["boards_only_with_overlap"]
        yield f"- {name}: {', '.join(boards) if boards else 'none in the table'}"
    yield ""
    yield "## What the arena looks like"
    for name in DRAWN:
        if name in found:
            yield ""
            yield f"![{name} without and with overlap](figures/arena_{name}.png)"


def _as_run(found: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "## As TFLM reports and runs them"
    yield "Each network was run by stock TFLM, the original and the one with the measured plan"
    yield f"written into it, {RUNS} inferences in a row on seeded inputs. *Head* is what TFLM"
    yield "itself reports for tensors and scratch, in bytes."
    yield ""
    head = ("network", "head before", "head after", "as predicted", "outputs")
    yield from _table(head, "lrrll", (_run_row(name, one) for name, one in found.items()))


def _run_row(name: str, one: Mapping[str, Any]) -> list[str]:
    verdict = one["verified"]
    before, after = verdict["arena_head_bytes"]
    more = after - verdict["predicted_head_bytes"]
    same = "bit-identical" if verdict["identical"] else verdict["difference"]
    return [name, f"{before:,}", f"{after:,}", f"{more:+,} B" if more else "yes", same]


def _agreement(found: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "## Formula and measurement"
    yield "For every input that dies at its operator: is D by closed form what was measured?"
    yield ""
    yield from _table(
        ("network", "pairs", "equal", "formula looser", "formula unsafe"),
        "lrrrr",
        (
            [name, one["pairs"], *(one["formula"][word] for word in ("equal", "looser", "unsafe"))]
            for name, one in found.items()
        ),
    )


def _intermediate(found: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "## Against first fit on intermediate tensors"
    yield "The baseline that comes nearest to what the paper describes: the model's inputs and"
    yield "outputs are left out of both plans, and first fit takes tensors as they are defined."
    yield ""
    inner = {name: one["intermediate"] for name, one in found.items()}
    yield from _table(
        ("network", "first fit", "measured plan", "saved"),
        "lrrr",
        (
            [
                *(name, _kib(one["first_fit_bytes"]), _kib(one["arena_bytes"])),
                f"{one['saving_percent']} %",
            ]
            for name, one in inner.items()
        ),
    )


def _arena_table(found: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    head = (
        *("network", "largest live sum", "TFLM", "first fit", "by the paper", "by formula"),
        *("measured", "saved, TFLM", "saved, live sum"),
    )
    yield from _table(head, "lrrrrrrrr", (_arena_row(name, found[name]) for name in names))


def _arena_row(name: str, one: Mapping[str, Any]) -> list[str]:
    base, arena = one["baseline_bytes"], one["arena_bytes"]
    proven = " •" if one["optimal"]["measured"] else ""
    return [
        name,
        _kib(base["largest-live-sum"]),
        _kib(base["tflm-greedy"]),
        _kib(base["first-fit"]),
        _kib(arena["paper"]),
        _kib(arena["exact"]),
        f"**{_kib(arena['measured'])}**{proven}",
        f"{one['saving_percent']['tflm-greedy']} %",
        f"{one['saving_percent']['largest-live-sum']} %",
    ]


def _table(head: Sequence[str], sides: str, rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table's lines; of each column whether it is set left or right, ``l`` or ``r``."""
    rule = ["---:" if side == "r" else "---" for side in sides]
    for line in (head, rule, *rows):
        yield f"| {' | '.join(map(str, line))} |"


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.1f}"


def readme_lines(found: Mapping[str, Any]) -> list[str]:
    identical = sum(one["verified"]["identical"] for one in found.values())
    return [
        *_arena_table(found, [name for name in IN_README if name in found]),
        "",
        f"KiB. {identical} of {len(found)} networks run bit-identically in the smaller arena on"
        " stock TFLM; all of them, baselines and boards in [docs/results.md](docs/results.md).",
    ]


def into_readme(lines: Sequence[str]) -> None:
    """Replace what stands between the two marks."""
    text = README.read_text(encoding="utf-8")
    begin, end = (text.index(mark) for mark in MARKS)
    made = "\n".join([MARKS[0], *lines, ""])
    README.write_text(text[:begin] + made + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
