"""Make the sample traces in ``traces/`` again: ``make traces``.

One small trace of each bundled C kernel at its default shape, in event mode, at
-O2 and at -O3; one in summary mode; and the depthwise convolution of the ``tflite-micro`` wheel,
which we did not write.  ``traces/README.md`` is the list, with D and O_s as
found in each.
"""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path

from diagmem.analysis.trace import open_trace
from diagmem.kernels.catalog import bundled, find
from diagmem.kernels.description import load
from diagmem.kernels.tracing import trace_kernel
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Mode, Request
from diagmem.trace.window import Role

ROOT = Path(__file__).resolve().parent.parent
TRACES = ROOT / "traces"
EXAMPLE = "examples/tflm_depthwise.py"


@dataclass(frozen=True)
class Sample:
    file: str
    command: str


def kernel_sample(name: str, *, mode: Mode = "events", flags: str = "") -> Sample:
    suffix = "_summary" if mode == "summary" else flags.replace("-", "_")
    file = f"{name}{suffix}.dmt"
    overrides = {"flags": flags} if flags else None
    trace_kernel(load(find(name), overrides), TRACES / file, mode=mode)
    words = [name, *([f"flags={flags}"] if flags else [])]
    words += ["--mode", "summary"] if mode == "summary" else []
    return Sample(file, f"diagmem trace {' '.join(words)} -o {file}")


def tflm_sample() -> Sample:
    """TFLM's kernel, traced in a Python process by its symbol."""
    sys.path.insert(0, str(ROOT / "examples"))
    from tflm_depthwise import INPUT, OUTPUT, tensor_place

    function = "*DepthwiseConvEval"
    places = {Role.INPUT: tensor_place(INPUT, 4608), Role.OUTPUT: tensor_place(OUTPUT, 4608)}
    version = importlib.metadata.version("tflite-micro")
    request = Request(
        command=[sys.executable, str(ROOT / EXAMPLE)],
        functions=[function],
        buffers=[BufferPlace(str(role), role, place) for role, place in places.items()],
        # What the header keeps is the command without this machine's paths.
        about={"command": ["python", EXAMPLE], "library": f"tflite-micro {version}"},
    )
    file = "tflm_depthwise_conv_2d_f32.dmt"
    record(request, TRACES / file)
    options = " ".join(f"--{role} '{role}={place}'" for role, place in places.items())
    return Sample(
        file, f"diagmem trace --function '{function}' {options} -o {file} -- python {EXAMPLE}"
    )


def row(sample: Sample) -> str:
    with open_trace(TRACES / sample.file) as trace:
        events = sum(w.events for w in trace.windows)
        pair = trace.overlaps()[0].pairs[0]
    found = f"{pair.min_displacement_bytes} B | {pair.safe_overlap_bytes} B"
    return f"| `{sample.file}` | {events:,} | {found} | `{sample.command}` |"


def main() -> None:
    samples = [kernel_sample(name, flags=flags) for name in bundled() for flags in ("", "-O3")]
    samples.append(kernel_sample("depthwise_conv_2d_f32", mode="summary"))
    samples.append(tflm_sample())
    lines = [
        "# Sample traces",
        "",
        "Made by `make traces` with the kernels that diagmem ships, at their default shapes and",
        "flags (-O2) and at -O3, and with the depthwise convolution inside the `tflite-micro`",
        "wheel. Addresses and instruction offsets in them depend on the compiler; D and O_s,",
        "found by `diagmem overlap` for the first pair of buffers, do not for these kernels.",
        "",
        "| trace | events | D | O_s | made by |",
        "| --- | --- | --- | --- | --- |",
        *[row(sample) for sample in samples],
        "",
    ]
    (TRACES / "README.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"{len(samples)} traces in {TRACES.name}/")


if __name__ == "__main__":
    main()
