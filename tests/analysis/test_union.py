"""Many windows, one answer: safe is what every one of them finds safe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diagmem
from diagmem.analysis.liveness import LivenessFold
from diagmem.analysis.overlap import Overlap, find_overlap
from diagmem.analysis.union import Source, merge
from diagmem.analysis.window_overlaps import WindowOverlaps
from diagmem.cli.main import main
from diagmem.trace.window import Accesses, Buffer, Role
from tests.trace.compose import SyntheticWindow, compose

X, Y = 0x1000, 0x2000
Step = tuple[bool, int]  # a store to the output, or a load of the input, at a byte


def overlap(steps: list[Step], n_in: int, n_out: int) -> Overlap:
    def live(name: str, role: Role, size: int, stores: bool) -> LivenessFold:
        mine = [(t, at) for t, (store, at) in enumerate(steps) if store == stores]
        n = len(mine)
        fold = LivenessFold(name, role, size, 1)
        fold.take(
            Accesses(
                np.array([t for t, _ in mine], np.int64),
                np.array([at for _, at in mine], np.int64),
                np.ones(n, np.int64),
                np.full(n, stores),
                np.zeros(n, np.uint32),
            )
        )
        return fold

    return find_overlap(
        live("x", Role.INPUT, n_in, False).result(), live("y", Role.OUTPUT, n_out, True).result()
    )


def really_safe(steps: list[Step], n_in: int, n_out: int, displacement: int) -> bool:
    """By running it: does any load see a byte of the other buffer, or any final
    output byte get lost?"""
    x, y = (n_out + n_in) + displacement, n_out + n_in
    memory: dict[int, object] = {y + w: ("y before", w) for w in range(n_out)}
    memory |= {x + r: ("x", r) for r in range(n_in)}
    for tick, (store, at) in enumerate(steps):
        if store:
            memory[y + at] = ("y", at, tick)
        elif memory[x + at] != ("x", at):
            return False
    last = {at: tick for tick, (store, at) in enumerate(steps) if store}
    kept = all(memory[y + at] == ("y", at, tick) for at, tick in last.items())
    # What was never written is the output's value too.
    unwritten = all(w in last or not 0 <= w - displacement < n_in for w in range(n_out))
    return kept and unwritten


@st.composite
def kernels(draw: st.DrawFn) -> tuple[int, int, list[list[Step]]]:
    n_in, n_out = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    step = st.one_of(
        st.tuples(st.just(True), st.integers(0, n_out - 1)),
        st.tuples(st.just(False), st.integers(0, n_in - 1)),
    )
    return n_in, n_out, draw(st.lists(st.lists(step, max_size=9), min_size=1, max_size=4))


@settings(max_examples=300)
@given(kernels())
def test_the_union_is_what_all_find_safe(kernel: tuple[int, int, list[list[Step]]]) -> None:
    n_in, n_out, runs = kernel
    pairs = [overlap(steps, n_in, n_out) for steps in runs]
    windows = [(Source("t", i), WindowOverlaps(i, "f", 0, (pair,))) for i, pair in enumerate(pairs)]
    (union,) = merge(windows)
    for displacement in range(-n_in, n_out + 1):
        safe = union.holds(displacement)
        assert safe == all(pair.holds(displacement) for pair in pairs)
        assert safe == all(really_safe(steps, n_in, n_out, displacement) for steps in runs)
    assert union.differ == (len({p.min_displacement_bytes for p in pairs}) > 1)
    assert {s.window for s in union.decided_by} == {
        i for i, p in enumerate(pairs) if p.min_displacement_bytes == union.min_displacement_bytes
    }


def windows_of(*reads_last: int, n_out: int = 8) -> list[SyntheticWindow]:
    """Output is written upwards; then one input byte is read once more."""
    buffers = [Buffer("x", Role.INPUT, X, 6), Buffer("y", Role.OUTPUT, Y, n_out)]
    address = [Y + w for w in range(n_out)]
    return [
        SyntheticWindow("f", buffers, [*address, X + r], 1, [True] * n_out + [False])
        for r in reads_last
    ]


def test_shapes_and_functions_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    compose(path, [*windows_of(5, 0), *windows_of(3, n_out=4)])
    with diagmem.open_trace(path) as trace:
        unions = diagmem.merge((Source(trace.path, w.index), w) for w in trace.overlaps())
    assert [(u.output_bytes, len(u.windows)) for u in unions] == [(8, 2), (4, 1)]
    assert unions[0].displacements == ((3, 1), (8, 1))
    assert unions[0].decided_by == (Source(str(path), 1),)


def test_isolated_displacements_are_not_safe_until_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy, of each two elements the second first: in place it is free of conflicts."""
    path = tmp_path / "t.dmt"
    addresses = [start + i for i in (1, 0, 3, 2) for start in (X, Y)]
    buffers = [Buffer("x", Role.INPUT, X, 4), Buffer("y", Role.OUTPUT, Y, 4)]
    compose(path, [SyntheticWindow("f", buffers, addresses, 1, [False, True] * 4)])
    assert main(["overlap", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "    minimum displacement  D   = 2 B (traced, not proven)" in lines
    at = lines.index("    isolated              0: no conflict in this trace, each by itself;")
    assert lines[at + 1].strip() == "not safe until diagmem prove --displacement says so"


def test_several_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a.dmt", tmp_path / "b.dmt"
    compose(a, windows_of(*[5] * 30))
    compose(b, windows_of(5, 2), header={"flags": ["-O3"]})
    assert main(["overlap", str(a), str(b), "--align", "4"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == f"warning: {b} was made with other flags than the first"
    assert out.splitlines()[0] == f"{a} windows 0-29, {b} window 0: f, 9 events"
    together = out[out.index("all 32 windows of f together: x over y") :].splitlines()
    assert together[1:4] == [
        "    minimum displacement  D   = 6 B (traced, not proven)",
        "    safe overlap          O_s = 2 B (33.3 %)",
        "    aligned to 4          D   = 8 B, O_s = 0 B",
    ]
    assert "D = 3 B in 31, 6 B in 1: data or shape steer the kernel" in out
    assert together[-1] == f"    decided by                {b} window 1"

    assert main(["overlap", str(a), str(b), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["windows"]) == 32
    assert data["windows"][-1]["trace"] == str(b)
    (merged,) = data["merged"]
    assert (merged["min_displacement_bytes"], merged["windows"], merged["differ"]) == (6, 32, True)
    assert merged["proven"] is False
    assert merged["decided_by"] == [{"trace": str(b), "window": 1}]


def test_a_cut_window_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a.dmt", tmp_path / "b.dmt"
    compose(a, windows_of(5))
    (left,) = windows_of(5)
    compose(b, [SyntheticWindow("f", left.buffers, [], 1, [], end="left by a jump")])
    assert main(["overlap", str(a), str(b)]) == 0
    together = capsys.readouterr().out.split("together")[1]
    assert "no overlap: the window did not finish: left by a jump" in together
    assert "D   =" not in together
    assert f"{b} window 0" in together


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["a.dmt", "a.dmt"], "a.dmt: is named twice"),
        (["a.dmt", "b.dmt", "--window", "0"], "--window goes with one trace"),
        (["a.dmt", "text"], "text: "),
        (["a.dmt", "nosuch.dmt"], "nosuch.dmt: "),
    ],
)
def test_wrong_calls(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.dmt", "b.dmt"):
        compose(tmp_path / name, windows_of(5))
    (tmp_path / "text").write_text("no trace")
    assert main(["overlap", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
