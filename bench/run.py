"""How fast recording and analysis are, side by side in one run: ``make bench``.

Every ratio is taken within this run, between medians, because machines are
noisy; the floor is the same kernel under ``valgrind --tool=none``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.qemu import qemu_rows
from bench.rows import Row, quietly, seconds
from diagmem.analysis.trace import open_trace
from diagmem.kernels.build import build
from diagmem.kernels.cases import Case
from diagmem.kernels.catalog import find
from diagmem.kernels.description import load
from diagmem.kernels.native import driver_command
from diagmem.record.recorder import record
from diagmem.record.request import Mode, Request

LARGE = {"in_h": "224", "in_w": "224", "in_c": "96"}
SMALL = {"in_h": "112", "in_w": "112", "in_c": "32"}
ANALYSE = "import sys, diagmem; diagmem.open_trace(sys.argv[1]).overlaps()"


def kernel_command(shape: dict[str, str], directory: Path) -> list[str]:
    """A command that calls the float depthwise kernel once, -O2, buffers apart."""
    directory.mkdir()
    kernel = load(find("depthwise_conv_2d_f32"), shape)
    return driver_command(build(kernel), [Case(kernel)], directory)


def under_none(command: Sequence[str]) -> None:
    quietly(["valgrind", "--quiet", "--tool=none", *command])


def under_lackey(command: Sequence[str]) -> None:
    quietly(
        ["valgrind", "--tool=lackey", "--trace-mem=yes", "--log-file=/dev/null", *command],
    )


def under_memtrace(command: Sequence[str], directory: Path) -> None:
    memtrace = Path(sys.executable).with_name("memtrace")
    quietly([str(memtrace), "record", *command], cwd=directory)
    (directory / "memtrace.out").unlink()


def traced(command: Sequence[str], mode: Mode, output: Path) -> None:
    """The whole pipeline, from starting the program to the finished file."""
    record(Request(command=command, mode=mode, watch=("input", "output")), output)


def analysis(trace: Path) -> tuple[float, int]:
    """Wall seconds and peak bytes of finding the overlaps, in a process of its own.

    Importing is taken off: it is the same for every trace.
    """

    def run(code: str) -> tuple[float, int]:
        start = time.perf_counter()
        pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", code, os.fspath(trace)])
        _, status, usage = os.wait4(pid, 0)
        if status:
            raise RuntimeError(f"analysis of {trace} failed")
        return time.perf_counter() - start, usage.ru_maxrss * 1024

    importing, _ = run("import diagmem.analysis.trace, diagmem.trace.events")
    whole, peak = run(ANALYSE)
    return whole - importing, peak


def recording_rows(directory: Path, runs: int) -> list[Row]:
    command = kernel_command(LARGE, directory / "large")
    trace = directory / "large.dmt"
    none = seconds(lambda: under_none(command), runs)
    events = seconds(lambda: traced(command, "events", trace), runs)
    with open_trace(trace) as opened:
        count = sum(w.events for w in opened.windows)
        on_disk = opened.bytes_on_disk
        buffers = sum(b.size_bytes for b in opened.windows[0].buffers)
    results = [analysis(trace) for _ in range(runs)]
    took = statistics.median(t for t, _ in results)
    peak = max(p for _, p in results)
    summary = seconds(lambda: traced(command, "summary", directory / "s.dmt"), runs)
    allowed = 64 * buffers + 300e6
    per_event = on_disk / count
    rate = count / took / 1e6
    return [
        Row("--tool=none, the floor", f"{none:.2f} s", "", True),
        Row(
            f"event mode, {count / 1e6:.1f} M events, to the finished file",
            f"{events:.2f} s = {events / none:.2f} x none",
            "<= 2.0 x",
            events <= 2.0 * none,
        ),
        Row(
            "summary mode",
            f"{summary:.2f} s = {summary / none:.2f} x none",
            "<= 1.6 x",
            summary <= 1.6 * none,
        ),
        Row("bytes per event on disk", f"{per_event:.4f}", "<= 0.05", per_event <= 0.05),
        Row("liveness and overlap", f"{rate:.0f} M events/s", ">= 30", rate >= 30),
        Row(
            "  peak memory",
            f"{peak / 1e6:.0f} MB for {buffers / 1e6:.0f} MB of buffers",
            f"<= {allowed / 1e6:.0f} MB",
            peak <= allowed,
        ),
    ]


def rival_rows(directory: Path, runs: int) -> list[Row]:
    """Other tracers on a smaller shape, and event mode on that same shape."""
    command = kernel_command(SMALL, directory / "small")
    ours = seconds(lambda: traced(command, "events", directory / "small.dmt"), runs)
    lackey = seconds(lambda: under_lackey(command), 1)
    rows = [
        Row("on 112x112x32: event mode", f"{ours:.2f} s", "", True),
        Row(
            "  lackey --trace-mem=yes, thrown away",
            f"{lackey:.1f} s = {lackey / ours:.0f} x ours",
            ">= 100 x",
            lackey >= 100 * ours,
        ),
    ]
    if not Path(sys.executable).with_name("memtrace").exists():
        return [*rows, Row("  memtrace record", "not installed: make bench does it", "", True)]
    memtrace = seconds(lambda: under_memtrace(command, directory), 1)
    return [
        *rows,
        Row(
            "  memtrace 0.2.6 record",
            f"{memtrace:.1f} s = {memtrace / ours:.0f} x ours",
            ">= 20 x",
            memtrace >= 20 * ours,
        ),
    ]


def network_rows(directory: Path) -> list[Row]:
    """Whole networks: ``diagmem measure``, once each, and the same inference under none."""
    if importlib.util.find_spec("tflite_micro") is None:
        return [Row("networks", "not installed: make install does it", "", True)]
    from diagmem.tflite.graph import read_model
    from diagmem.tflite.zoo import write_filled
    from diagmem.tflm.network import network_job, random_inputs
    from diagmem.tflm.processes import child_process

    program = str(Path(sys.executable).with_name("diagmem"))
    rows = []
    for name, goal in (("mobilenet_v1_0.25_128_int8", 20), ("mobilenet_v1_1.0_224_f32", 120)):
        path = directory / f"{name}.tflite"
        write_filled(name, path)
        model = read_model(path)
        job = network_job(model, [random_inputs(model, 0)], (), None)
        with child_process("network", [job]) as (command, _):
            none = seconds(lambda command=command: under_none(command), 1)  # type: ignore[misc]
        measure = [program, "measure", str(path), "-o", f"{path}.json"]
        took = seconds(lambda measure=measure: quietly(measure), 1)  # type: ignore[misc]
        rows += [
            Row(f"measure {name}", f"{took:.1f} s", f"<= {goal} s", took <= goal),
            Row(
                "  against the inference under --tool=none",
                f"{none:.1f} s = {took / none:.2f} x none",
                "<= 2.0 x",
                took <= 2.0 * none,
            ),
        ]
    return rows


def help_row(runs: int) -> Row:
    program = str(Path(sys.executable).with_name("diagmem"))
    took = seconds(lambda: quietly([program, "--help"]), max(runs, 5))
    return Row("diagmem --help", f"{took:.3f} s", "<= 0.2 s", took <= 0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs per median [5]")
    parser.add_argument("--quick", action="store_true", help="leave the other tracers out")
    args = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("bench: there is no valgrind on PATH")
    with tempfile.TemporaryDirectory(prefix="diagmem-bench-") as name:
        rows = recording_rows(Path(name), args.runs)
        rows += qemu_rows(Path(name) / "qemu", args.runs)
        if not args.quick:
            rows += rival_rows(Path(name), args.runs)
            rows += network_rows(Path(name))
    rows.append(help_row(args.runs))
    print("float depthwise 3x3 convolution, 224x224x96, C, -O2; medians of", args.runs, "runs")
    for row in rows:
        mark = "" if not row.goal else "met" if row.met else "MISSED"
        print(f"{row.what:<58} {row.value:<32} {row.goal:<12} {mark}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
