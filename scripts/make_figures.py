"""Draw the pictures in ``docs/figures/`` from the sample traces: ``make figures``."""

from __future__ import annotations

from pathlib import Path

from diagmem.api import open_trace
from diagmem.plot.heatmap import draw

ROOT = Path(__file__).resolve().parent.parent
FIGURES = {
    "tflm_depthwise.png": ("tflm_depthwise_conv_2d_f32.dmt", "DEPTHWISE_CONV_2D in tflite-micro"),
    "conv_2d_int8.png": ("conv_2d_int8.dmt", None),
    "softmax_f32.png": ("softmax_f32.dmt", None),
}


def main() -> None:
    directory = ROOT / "docs" / "figures"
    directory.mkdir(exist_ok=True)
    for name, (trace, title) in FIGURES.items():
        with open_trace(ROOT / "traces" / trace) as opened:
            draw(opened, directory / name, title=title)
        print(f"docs/figures/{name}")


if __name__ == "__main__":
    main()
