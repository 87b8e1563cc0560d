"""``diagmem import``: an old log gives the answer that a trace gives."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import diagmem
from diagmem.cli.main import main
from diagmem.record.elf import symbols
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Request
from diagmem.trace.window import Role

SOURCE = Path(__file__).parents[1] / "record" / "programs" / "imported.c"
LOG = " S 1000,4\n L 1000,4\nI  99,1\n M 2000,4\n"
PLACES = ["--input", "x=address:0x1000,bytes:8", "--output", "y=address:0x2000,bytes:8"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_text(LOG)
    return path


@pytest.mark.usefixtures("valgrind_tool")
def test_the_same_answer_as_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, log, out = tmp_path / "p", tmp_path / "log.txt", tmp_path / "t.dmt"
    flags = ["-O2", "-no-pie", "-fno-pie", "-fno-tree-loop-distribute-patterns"]
    subprocess.run(["cc", *flags, "-o", program, SOURCE], check=True)
    options = ["--tool=lackey", "--trace-mem=yes", "--vex-guest-chase=no", f"--log-file={log}"]
    subprocess.run(["valgrind", *options, program], check=True)
    at = {s.name: s.address for s in symbols(program) if s.name in {"kernel", "after", "in", "out"}}
    words = [
        *("import", str(log), "-o", str(out)),
        *("--input", f"in=address:{at['in']:#x},bytes:77"),
        *("--output", f"out=address:{at['out']:#x},bytes:91"),
        *("--from", f"{at['kernel']:#x}", "--to", f"{at['after']:#x}"),
    ]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["windows"], said["complete"]) == (3, True)
    assert said["lines"] > said["events"]

    traced = tmp_path / "traced.dmt"
    buffers = [
        BufferPlace("in", Role.INPUT, "symbol:in"),
        BufferPlace("out", Role.OUTPUT, "symbol:out"),
    ]
    record(Request([str(program)], functions=["kernel"], buffers=buffers), traced)
    with diagmem.open_trace(out) as imported, diagmem.open_trace(traced) as trace:
        assert [w.events for w in imported.windows] == [w.events for w in trace.windows]
        for a, b in zip(imported.overlaps(), trace.overlaps(), strict=True):
            assert a.pairs[0].min_displacement_bytes == b.pairs[0].min_displacement_bytes > 0
            assert a.pairs[0].limit == b.pairs[0].limit
            assert any("imported from a lackey log" in note for note in a.pairs[0].notes)
    assert main([*words, "--mode", "summary", "--force"]) == 0
    with diagmem.open_trace(out) as summary, diagmem.open_trace(traced) as trace:
        assert summary.mode == "summary"
        assert [w.pairs[0].min_displacement_bytes for w in summary.overlaps()] == [
            w.pairs[0].min_displacement_bytes for w in trace.overlaps()
        ]


def test_a_whole_log(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.dmt"
    assert main(["import", str(log), "-o", str(out), *PLACES]) == 0
    assert capsys.readouterr().out.endswith("from 4 lines (0 of other text)\n")
    with diagmem.open_trace(out) as trace:
        assert trace.complete
        (window,) = trace.windows
        assert (window.function, window.loads, window.stores) == ("whole log", 2, 2)
        kinds = [bool(store) for piece in trace.events() for store in piece.store]
    # A modify loads, then stores.
    assert kinds == [True, False, False, True]
    assert main(["validate", str(out)]) == 0


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOG.encode())))
    assert main(["import", "-", "-o", str(tmp_path / "t.dmt"), *PLACES]) == 0


@pytest.mark.parametrize(
    ("tail", "words", "why"),
    [
        (" L 10", [], "the log ends within a line"),
        ("", ["--from", "0x99", "--to", "0x98"], "the log ends before the instruction at 0x98"),
    ],
)
def test_a_cut_log(
    tail: str, words: list[str], why: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(LOG + tail)
    out = log.with_name("t.dmt")
    assert main(["import", str(log), "-o", str(out), *PLACES, *words]) == 1
    assert f"warning: {log} is cut: {why}\n" in capsys.readouterr().err
    with diagmem.open_trace(out) as trace:
        assert trace.cut == why
        assert not trace.overlaps()[0].pairs[0].exact


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([*PLACES[:1], "x=symbol:x"], "buffer x=symbol:x: expected address:0xA,bytes:B, since"),
        ([], "no buffer to look at; give --input NAME=address:0xA,bytes:B"),
        ([*PLACES, "--from", "0x99"], "--from and --to go together"),
        ([*PLACES, "--from", "0x1", "--to", "0x2"], "log.txt: no instruction at 0x1 in 4 lines"),
        ([*PLACES, "--from", "main", "--to", "0x2"], "argument --from: invalid"),
        ([*PLACES, *PLACES[:2]], "two buffers are named 'x'"),
    ],
)
def test_wrong_calls(
    words: list[str], complaint: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["import", str(log), "-o", str(log.with_name("t.dmt")), *words])
    except SystemExit as stop:
        code = int(str(stop.code))
    assert code == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1
    assert {path.name for path in log.parent.iterdir()} == {"log.txt"}


def test_text_that_is_no_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text("a letter\n")
    assert main(["import", str(log), "-o", str(log.with_name("t.dmt")), *PLACES]) == 2
    assert "log.txt: no access in 1 lines, expected lines like" in capsys.readouterr().err
    assert not log.with_name("t.dmt").exists()
    log.unlink()
    assert main(["import", str(log), "-o", str(log.with_name("t.dmt")), *PLACES]) == 2
    assert "log.txt: cannot read: No such file or directory" in capsys.readouterr().err
