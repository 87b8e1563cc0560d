"""``diagmem measure``: a small network under the tool, and what it says of a mistake."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagmem.analysis.trace import open_trace
from diagmem.cli.main import main
from diagmem.networks.measured import read_overlaps
from diagmem.tflite.graph import read_model
from tests.cli.conftest import Capture, wrong_call
from tests.tflite.build import Draft, chain

pytestmark = pytest.mark.usefixtures("valgrind_tool", "tflm")

DOCS = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


fails = partial(wrong_call, ["measure"])


def test_a_small_network(
    small_net: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, trace, values = tmp_path / "o.json", tmp_path / "t.dmt", tmp_path / "i.npz"
    np.savez(values, picture=np.linspace(-1, 1, 105, dtype=np.float32).reshape(1, 5, 7, 3))
    words = [
        str(small_net),
        "-o",
        str(output),
        "--trace",
        str(trace),
        "--inputs",
        str(values),
        "--weights",
    ]
    assert main(["measure", *words]) == 0
    out, err = capsys.readouterr()
    title, head, *rows = out.splitlines()
    assert title.startswith(f"{small_net}: 3 operators on tflite-micro ")
    assert head.split() == "operator seconds scratch weights live needed over D O_s formula".split()
    names = [operator.name for operator in read_model(small_net).operators]
    assert [row.split()[1] for row in rows] == names
    assert re.search(r" 672 +\d+ +t0 over t3 +\d+ +\d+ +equal$", rows[0])
    assert err.endswith(f"next: diagmem plan '{small_net}' --overlaps {output} -o planned.tflite\n")
    measured = read_overlaps(output, read_model(small_net))
    assert measured.about["inputs"] == "i.npz"
    assert [operator.operator for operator in measured.operators] == names
    assert [operator.live_bytes for operator in measured.operators] == [672, 504, 504]
    assert measured.operators[0].weights_read_bytes == (18 + 3) * 4
    assert {pair.formula_says for o in measured.operators for pair in o.pairs} == {"equal"}
    with open_trace(trace) as opened:
        assert [window.function for window in opened.windows] == names
    for existing in (["-o", str(output)], ["--trace", str(trace)]):
        assert "exists already; give --force" in fails([str(small_net), *existing], capsys)
    monkeypatch.setattr("diagmem.networks.on_tflm.measure", lambda *_, **__: measured)
    assert main(["measure", str(small_net), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err.endswith(
        f"next: diagmem measure '{small_net}' -o overlaps.json   # for diagmem plan\n"
    )
    data: dict[str, Any] = json.loads(out)
    assert data == json.loads(output.read_text())
    operator = data["operators"][0]
    sizes = {"input_bytes", "output_bytes"}
    assert documented() == {*data, *operator, *operator["pairs"][0]} - sizes


def documented() -> set[str]:
    """The JSON fields that docs/cli.md names."""
    page = DOCS.read_text(encoding="utf-8")
    section = page.split("## `diagmem measure`")[1].split("\n## ")[0]
    return set(re.findall(r"`(\w+)`", section[section.index("JSON (and the file)") :]))


def test_mistakes(small_net: Path, tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "text.tflite"
    text.write_text("no model at all, but long enough to be one")
    assert "none: cannot be read" in fails([str(tmp_path / "none")], capsys)
    assert "text.tflite: " in fails([str(text)], capsys)
    words = [str(small_net), "--inputs"]
    assert "cannot be read as .npz" in fails([*words, str(text)], capsys)
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, picture=np.zeros((5, 7), np.float32))
    assert "'picture' is float32 (5, 7), expected" in fails([*words, str(wrong)], capsys)
    same = [*words, str(wrong), "--force", "-o"]
    for output in (small_net, wrong):
        assert "is the input itself" in fails([*same, str(output)], capsys)
    assert "argument --seed" in fails([str(small_net), "--seed", "-1"], capsys)


def test_what_tflm_cannot_run(tmp_path: Path, capsys: Capture) -> None:
    """A custom operator that nobody knows; a requantisation that TFLM aborts at."""
    unknown, aborts = tmp_path / "unknown.tflite", tmp_path / "aborts.tflite"
    links = (([0], [1]), ([1], [2]))
    unknown.write_bytes(chain(*links, tensors=3, inputs=[0], outputs=[2]).file())
    draft = Draft()
    first, second = (draft.tensor((2, 3), "int8", scale=[1.0]) for _ in range(2))
    made = draft.tensor((2, 3), "int8", scale=[1e-9])
    draft.operator("ADD", [first, second], [made], "Add")
    aborts.write_bytes(draft.io([first, second], [made]).file())
    assert "unknown.tflite: TFLM refuses the model: " in fails([str(unknown)], capsys)
    assert "aborts.tflite: TFLM refuses the model: stopped by SIGABRT" in fails(
        [str(aborts)], capsys
    )
