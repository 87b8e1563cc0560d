"""The tables of docs/cortex-m.md: D by processor.

Our C kernels on random layers, and CMSIS-NN's, where a checkout of it is given, on the
layers below.  What has another D on another processor needs its reason here, and the
reason its place on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.progress import Progress
from diagmem.check.judge import Finding
from diagmem.check.results import against_others
from diagmem.check.sweep import check
from diagmem.kernels.catalog import find
from diagmem.kernels.cortex_m.on_target import for_target
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.ops import OPERATORS
from diagmem.proof.prove import all_pairs, prove_pairs
from diagmem.trace.window import Role
from scripts.kernels_page import replaced
from scripts.page_tables import DOCS, SEED, table

TARGETS_PAGE = DOCS / "cortex-m.md"
TARGETS = ("cortex-m3", "cortex-m4", "cortex-m55")
HERE = "x86-64"
SETS = ("c", *(f"c@{target}" for target in TARGETS))
CASES = 20

REASONS: Mapping[str, str] = {}
"""Why our kernels of an operator have another D on a target: a heading of the page."""


def make_targets(jobs: int, checkout: Path | None) -> None:
    progress = Progress("checking")
    findings = check(
        tuple(OPERATORS), SETS, cases=CASES, seed=SEED, jobs=jobs, advance=progress.share
    )
    progress.done()
    need_reasons(findings)
    page = TARGETS_PAGE.read_text(encoding="utf-8")
    page = replaced(page, "targets", list(_ours(findings)))
    if checkout is not None:
        page = replaced(page, "cmsis-nn", _cmsis(checkout))
    TARGETS_PAGE.write_text(page, encoding="utf-8")


def need_reasons(findings: Sequence[Finding]) -> None:
    """Raises DiagmemError where a target's D is another one, unexplained, or unsafe."""
    for one in findings:
        if one.wrong:
            raise DiagmemError(f"{one.operator} on {one.kernels}: unsafe, {one.attributes}")
    for compared in against_others(findings):
        for operator in compared.differ:
            if operator not in REASONS:
                raise DiagmemError(
                    f"{operator} on {compared.kernels}: another D than on {compared.against},"
                    " expected a reason in REASONS"
                )


def _ours(findings: Sequence[Finding]) -> Iterator[str]:
    by_pair: dict[tuple[object, ...], dict[str, Finding]] = {}
    for one in findings:
        if not one.refused:
            pair = (one.operator, one.attributes, one.seed, one.input, one.output)
            by_pair.setdefault(pair, {})[one.kernels] = one
    rows = []
    for operator in OPERATORS:
        mine = [found for pair, found in by_pair.items() if pair[0] == operator]
        whole = [found for found in mine if len(found) == len(SETS)]
        # A layer whose D is neither nothing nor all tells most.
        shown = max(whole, key=lambda found: _telling(found["c"]))
        rows.append(
            [
                f"`{operator}`",
                *_sizes(shown["c"]),
                *(shown[name].traced for name in SETS),
                f"{sum(_alike(found) for found in whole)} of {len(whole)}",
            ]
        )
    heads = [f"D, {place}" for place in (HERE, *TARGETS)]
    yield from table(["operator", "input, B", "output, B", *heads, "pairs with one D"], rows)


def _telling(one: Finding) -> tuple[bool, int]:
    inner = 0 < one.traced < one.output_bytes
    return inner, -abs(one.output_bytes - 600)


def _sizes(one: Finding) -> tuple[int, int]:
    return one.input_bytes, one.output_bytes


def _alike(found: Mapping[str, Finding]) -> bool:
    return len({one.traced for one in found.values()}) == 1


# ---- CMSIS-NN


@dataclass(frozen=True)
class ArmLayer:
    """A kernel of CMSIS-NN on a layer, and ours for the same layer in TFLite's order."""

    description: str
    reference: str
    words: Mapping[str, str]
    said: str


_MAP = {"in_h": "12", "in_w": "10"}
_ONE = {"filter_h": "1", "filter_w": "1"}
ARM_LAYERS = (
    ArmLayer(
        "cmsis_convolve_s8",
        "conv_2d_int8",
        {**_MAP, "in_c": "8", "out_c": "8", "function": "arm_convolve_s8"},
        "`arm_convolve_s8`, 12×10×8, 3×3, 8 out",
    ),
    ArmLayer(
        "cmsis_convolve_s8",
        "conv_2d_int8",
        {**_MAP, **_ONE, "in_c": "8", "out_c": "8", "function": "arm_convolve_1x1_s8_fast"},
        "`arm_convolve_1x1_s8_fast`, 12×10×8, 8 out",
    ),
    ArmLayer(
        "cmsis_depthwise_conv_s8",
        "depthwise_conv_2d_int8",
        {**_MAP, "in_c": "8", "function": "arm_depthwise_conv_s8"},
        "`arm_depthwise_conv_s8`, 12×10×8, 3×3",
    ),
    ArmLayer(
        "cmsis_depthwise_conv_s8",
        "depthwise_conv_2d_int8",
        {**_MAP, "in_c": "8", "function": "arm_depthwise_conv_s8_opt"},
        "`arm_depthwise_conv_s8_opt`, 12×10×8, 3×3",
    ),
    ArmLayer(
        "cmsis_depthwise_conv_s8",
        "depthwise_conv_2d_int8",
        {**_MAP, "in_c": "8"},
        "`arm_depthwise_conv_wrapper_s8`, 12×10×8, 3×3",
    ),
    ArmLayer("cmsis_max_pool_s8", "max_pool_2d_int8", {**_MAP}, "`arm_max_pool_s8`, 12×10×8, 3×3"),
    ArmLayer(
        "cmsis_avgpool_s8", "average_pool_2d_int8", {**_MAP}, "`arm_avgpool_s8`, 12×10×8, 3×3"
    ),
    ArmLayer(
        "cmsis_fully_connected_s8",
        "fully_connected_int8",
        {},
        "`arm_fully_connected_s8`, 2×24, 10 out",
    ),
    ArmLayer(
        "cmsis_fully_connected_s8",
        "fully_connected_int8",
        {"per_channel": "true"},
        "`arm_fully_connected_per_channel_s8`, 2×24, 10 out",
    ),
    ArmLayer(
        "cmsis_fully_connected_1x1_s8",
        "fully_connected_int8",
        {"batches": "40", "depth": "32", "outputs": "32"},
        "`arm_convolve_1x1_s8_fast` for `FULLY_CONNECTED`, 1×40×32, 32 out",
    ),
    ArmLayer("cmsis_softmax_s8", "softmax_int8", {}, "`arm_softmax_s8`, 6×11"),
    ArmLayer("cmsis_elementwise_add_s8", "add_int8", {}, "`arm_elementwise_add_s8`, 120"),
)


def _cmsis(checkout: Path) -> list[str]:
    rows = []
    for layer in ARM_LAYERS:
        words = {**layer.words, "checkout": str(checkout)}
        kernel = load(find(layer.description), words)
        [output] = kernel.with_role(Role.OUTPUT)
        theirs = ("function", "per_channel")
        ours = {key: value for key, value in layer.words.items() if key not in theirs}
        found = [_proven(load(find(layer.reference), ours))]
        found.append(_proven(kernel))
        found += [_proven(for_target(kernel, target)) for target in TARGETS]
        rows.append([layer.said, output.size_bytes, *found])
    heads = [f"D, {place}" for place in ("TFLite's order", HERE, *TARGETS)]
    return table(["kernel", "output, B", *heads], rows)


def _proven(kernel: Kernel) -> int:
    proof = prove_pairs(kernel, all_pairs(kernel)[:1])[0]
    if not proof.proven:
        raise DiagmemError(f"{kernel.name}: not proven: {proof.why}")
    return proof.min_displacement_bytes
