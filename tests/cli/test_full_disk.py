"""Every verb that writes, on a full disk and when it is ended: the older file survives."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from diagmem.base import files
from diagmem.cli.main import main
from diagmem.networks.measured import Measured
from diagmem.trace.window import Buffer, Role
from tests.cli.conftest import Capture, wrong_call
from tests.trace.compose import SyntheticWindow, compose

LIMIT_BYTES = 64
BUFFERS = (Buffer("x", Role.INPUT, 0x1000, 64), Buffer("y", Role.OUTPUT, 0x2000, 64))
LOG = "".join(f" L {0x1000 + i:x},1\n S {0x2000 + i:x},1\n" for i in range(64))


@contextlib.contextmanager
def on_a_full_disk(path: Path) -> Iterator[files.PartFile]:
    """What `files.beside` gives, and no file grows beyond the limit meanwhile."""
    with real_beside(path) as part:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
        try:
            yield part
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


real_beside = files.beside


@pytest.fixture
def inputs(tmp_path: Path, small_net: Path) -> dict[str, str]:
    """Files for the verbs to read, by a short name."""
    trace, log = tmp_path / "trace.dmt", tmp_path / "lackey.txt"
    compose(trace, [SyntheticWindow("copy", BUFFERS, [0x1000, 0x2000], [8, 8], [False, True])])
    log.write_text(LOG)
    return {"TRACE": str(trace), "NET": str(small_net), "LOG": str(log)}


PLACES = "--input x=address:0x1000,bytes:64 --output y=address:0x2000,bytes:64"
CONV = "CONV_2D input=1x7x5x3 filter=3x2 output_channels=4 dtype=int8"
VERBS = [
    (f"import LOG {PLACES} -o OUT", "out.dmt"),
    ("heatmap TRACE -o OUT", "out.png"),
    ("heatmap TRACE --window 0 -o OUT", "out.svg"),
    ("heatmap TRACE TRACE -o OUT", "out.pdf"),
    (f"formula {CONV} -o OUT", "out.svg"),
    ("check -o OUT", "out.csv"),
    ("zoo write mobilenet_v1_0.25_128_int8 -o OUT", "out.tflite"),
    ("zoo write mobilenet_v1_0.25_128_int8 --graph -o OUT", "graph.tflite"),
    ("measure NET -o OUT", "out.json"),
    ("plan NET -o OUT", "out.tflite"),
    ("plan NET --diagram OUT", "out.svg"),
    ("plan NET --profile OUT", "out.png"),
    ("report TRACE -o OUT", "out.html"),
    ("export TRACE -o OUT", "out.csv"),
    ("export TRACE -o OUT", "out.csv.gz"),
    ("export TRACE -o OUT", "out.parquet"),
    ("export TRACE -o OUT", "out.json"),
    ("export TRACE -o OUT", "out.json.gz"),
]


@pytest.mark.parametrize(("call", "name"), VERBS)
def test_nothing_is_lost_and_nothing_is_left(
    call: str,
    name: str,
    inputs: dict[str, str],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.setattr(files, "beside", on_a_full_disk)
    # What takes long and is not about writing.
    kernels = {"kernels": "none", "target": "none"}
    nothing = Measured(model={}, kernels=kernels, about={}, operators=())
    monkeypatch.setattr("diagmem.networks.on_tflm.measure", lambda *_, **__: nothing)
    monkeypatch.setattr("diagmem.check.sweep.check", lambda *_, **__: [])
    monkeypatch.setattr("diagmem.tflite.zoo.filled", lambda *_: bytes(1000))
    older = tmp_path / name
    older.write_bytes(b"older")
    before = {path.name for path in tmp_path.iterdir()}
    words = [{**inputs, "OUT": str(older)}.get(word, word) for word in call.split()]
    said = wrong_call([], [*words, "--force"], capsys)
    verb = words[0]
    assert said == f"diagmem {verb}: {older}: cannot be written: File too large\n"
    assert older.read_bytes() == b"older"
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_came_into_being_meanwhile(
    inputs: dict[str, str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --force it stays; and a later call with --force is not bound by an earlier one."""
    out = tmp_path / "out.csv"
    words = ["export", inputs["TRACE"], "-o", str(out)]

    @contextlib.contextmanager
    def late(path: Path) -> Iterator[files.PartFile]:
        with real_beside(path) as part:
            path.write_bytes(b"another's")
            yield part

    monkeypatch.setattr(files, "beside", late)
    said = wrong_call([], words, capsys)
    assert "another program wrote it meanwhile; give --force" in said
    assert out.read_bytes() == b"another's"
    assert main([*words, "--force"]) == 0
    assert out.read_bytes().startswith(b"window,")


SLOW = """\
import sys, time
from pathlib import Path
from diagmem.cli.main import main
def sleep(table, *_, **__):
    Path(sys.argv[1]).touch()
    time.sleep(60)
import pandas
pandas.DataFrame.to_csv = sleep
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_while_it_writes(
    number: signal.Signals, inputs: dict[str, str], tmp_path: Path
) -> None:
    there, out = tmp_path / "there", tmp_path / "out.csv"
    words = [str(there), "export", inputs["TRACE"], "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *words], stderr=subprocess.PIPE, text=True
    )
    while not there.exists() and process.poll() is None:
        time.sleep(0.02)
    assert list(tmp_path.glob(".out.csv.*.part"))
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    why = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert said == f"diagmem export: {why}\n"
    assert process.returncode == 128 + number
    assert not list(tmp_path.glob("*out.csv*"))
