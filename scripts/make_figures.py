"""Draw the pictures of ``docs/gallery.md`` again: ``make figures``.

From the sample traces in ``traces/`` and a network of the zoo alone: the same files,
byte for byte, wherever it runs.  The figures of measured networks are `make results`'.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from diagmem.analysis.trace import open_trace
from diagmem.networks.planning import NO_OVERLAPS, plan_network
from diagmem.plot.compare import draw_side_by_side
from diagmem.plot.heatmap import draw
from diagmem.plot.profile import draw_profile
from diagmem.tflite.zoo import open_zoo

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
Figure = Callable[[Path], object]


def heatmap(trace: str, title: str | None = None) -> Figure:
    def make(path: Path) -> None:
        with open_trace(ROOT / "traces" / trace) as opened:
            draw(opened, path, title=title)

    return make


def side_by_side(title: str, *traces: str) -> Figure:
    def make(path: Path) -> None:
        with ExitStack() as stack:
            opened = [stack.enter_context(open_trace(ROOT / "traces" / t)) for t in traces]
            draw_side_by_side([(trace, 0) for trace in opened], path, title=title)

    return make


def profile(network: str) -> Figure:
    def make(path: Path) -> None:
        model = open_zoo(network)
        plans = {"no overlap": plan_network(model, NO_OVERLAPS), "overlapped": plan_network(model)}
        draw_profile(plans, path)

    return make


def main(directory: Path = FIGURES) -> None:
    for name, make in MADE.items():
        make(directory / name)
        print(f"docs/figures/{name}")


MADE: dict[str, Figure] = {
    "tflm_depthwise.png": heatmap(
        "tflm_depthwise_conv_2d_f32.dmt", "DEPTHWISE_CONV_2D in tflite-micro"
    ),
    "conv_2d_int8.png": heatmap("conv_2d_int8.dmt"),
    "softmax_f32.png": heatmap("softmax_f32.dmt"),
    "summary.png": heatmap("depthwise_conv_2d_f32_summary.dmt"),
    "conv_2d_f32_O2_O3.png": side_by_side(
        "CONV_2D f32 at -O2 and -O3: half of the events, the same D",
        "conv_2d_f32.dmt",
        "conv_2d_f32_O3.dmt",
    ),
    "profile_mobilenet_v1.png": profile("mobilenet_v1_0.25_128_int8"),
    "profile_nasnet.png": profile("nasnet_mobile_f32"),
}

if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
