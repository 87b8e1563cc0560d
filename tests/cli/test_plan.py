"""``diagmem plan``: what it prints and writes, its JSON, how it ends."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.networks.measured import write_overlaps
from diagmem.tflite.graph import read_model
from diagmem.tflite.write import read_provenance, write_planned
from tests.cli.conftest import Capture, json_of, wrong_call
from tests.networks.by_formula import as_measured
from tests.tflite.build import small
from tests.tools import need_package

planned = partial(json_of, ["plan"])
fails = partial(wrong_call, ["plan"])
ARENA = 65_552
"""Of the network, in bytes, with overlap by the exact formulas."""


@pytest.fixture
def overlaps(mobilenet: Path, tmp_path: Path) -> Path:
    path = tmp_path / "overlaps.json"
    write_overlaps(as_measured(read_model(mobilenet)), path)
    return path


def test_text(mobilenet: Path, capsys: Capture) -> None:
    assert main(["plan", str(mobilenet)]) == 0
    out, err = capsys.readouterr()
    *lines, overlaps, proven = out.splitlines()
    assert lines == [
        f"{mobilenet}: 31 operators, 32 tensors to place",
        "  arena              65,552 B   (heuristic; proven optimal)",
        "  lower bound        65,552 B",
        "  tflm-greedy       131,072 B   saves 50.0 %",
        "  first-fit          98,304 B   saves 33.3 %",
        "  largest-live-sum   98,304 B   saves 33.3 %",
    ]
    assert overlaps.startswith("  overlaps     exact: ")
    assert proven == "  proven       no"
    assert "these overlaps are a formula's" in err
    assert f"next: diagmem plan '{mobilenet}' -o planned.tflite" in err


def test_json(mobilenet: Path, overlaps: Path, capsys: Capture) -> None:
    data = planned([str(mobilenet), "--overlaps", str(overlaps)], capsys)
    assert set(data) == set(
        "model arena_bytes lower_bound_bytes optimal solver baseline_bytes saving_percent"
        " provenance tensors overlaps placement".split()
    )
    assert data["arena_bytes"] == data["lower_bound_bytes"] == ARENA
    assert data["baseline_bytes"] == {
        "tflm-greedy": 131072,
        "first-fit": 98304,
        "largest-live-sum": 98304,
    }
    assert data["saving_percent"] == {
        "tflm-greedy": 49.99,
        "first-fit": 33.32,
        "largest-live-sum": 33.32,
    }
    model = read_model(mobilenet)
    tensors = {tensor["index"]: tensor for tensor in data["tensors"]}
    assert len(data["tensors"]) == len(tensors) == len(model.activations)
    assert max(t["offset"] + t["bytes"] for t in tensors.values()) <= ARENA
    for tensor in tensors.values():
        assert tensor["name"] == model.tensors[tensor["index"]].name
        assert tensor["offset"] % 16 == 0
        assert 0 <= tensor["first_operator"] <= tensor["last_operator"] < 31
    (source,) = model.inputs
    assert tensors[source]["role"] == "input"
    assert tensors[source]["first_operator"] == 0
    for one in data["overlaps"]:
        source, target = tensors[one["input"]], tensors[one["output"]]
        displacement = source["offset"] - target["offset"]
        assert one["displacement_bytes"] == displacement
        assert one["source"] == "measured"
        assert displacement >= one["min_displacement_bytes"]
        shared = min(source["offset"] + source["bytes"], target["offset"] + target["bytes"])
        assert one["bytes"] == shared - max(source["offset"], target["offset"]) > 0
        assert source["last_operator"] == one["operator"] == target["first_operator"]


def test_the_plan_is_written_and_nothing_lost(
    mobilenet: Path, overlaps: Path, tmp_path: Path, capsys: Capture
) -> None:
    output = tmp_path / "out.tflite"
    words = [str(mobilenet), "--overlaps", str(overlaps), "-o", str(output)]
    before = mobilenet.read_bytes()
    data = planned(words, capsys)
    assert mobilenet.read_bytes() == before
    written = read_model(output)
    assert written.plan is not None
    assert {t["index"]: t["offset"] for t in data["tensors"]} == {
        index: at for index, at in enumerate(written.plan) if at != -1
    }
    assert read_provenance(written) == data["provenance"]
    kernels = {"kernels": "none 1.0", "target": "paper", "flags": "-O0"}
    assert data["provenance"]["kernels"] == kernels
    assert "exists already; give --force" in fails(words, capsys)
    assert main(["plan", *words, "--force"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("\n  measured on  none 1.0, paper, flags -O0\n  proven       no\n")
    assert main(["plan", str(output)]) == 0
    said = capsys.readouterr().out
    assert "older plan   by diagmem " in said
    assert "65552 B, overlaps measured on none 1.0, paper, flags -O0; proven: no" in said


@pytest.mark.parametrize("kernels", ["x", ["y"], {"kernels": "\x1b[1m\n"}, {}, 3])
def test_what_others_wrote_of_an_older_plan(
    kernels: object, mobilenet: Path, capsys: Capture
) -> None:
    model = read_model(mobilenet)
    older = mobilenet.with_name("older.tflite")
    write_planned(model, [-1] * len(model.tensors), older, {"kernels": kernels, "proven": [1]})
    assert main(["plan", str(older)]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "older plan" in one]
    assert line.startswith("  older plan   by None: None B, overlaps None")
    assert line.endswith("; proven: [1]")
    assert line.isprintable()


def test_an_arena_it_fits_and_one_it_does_not(mobilenet: Path, capsys: Capture) -> None:
    assert main(["plan", str(mobilenet), "--arena", "65600"]) == 0
    assert "fits         an arena of 65,600 B, 48 B left" in capsys.readouterr().out
    assert main(["plan", str(mobilenet), "--arena", str(ARENA - 1)]) == 1
    out = capsys.readouterr().out
    assert "does not fit an arena of 65,551 B: 1 B too much, at " in out
    assert planned([str(mobilenet), "--arena", str(ARENA)], capsys)["fits"]
    data = planned([str(mobilenet), "--arena", "49152"], capsys, code=1)
    assert not data["fits"]
    tensors = {tensor["index"]: tensor for tensor in data["tensors"]}
    by_hand = {}
    for operator in range(31):
        alive = [
            tensor
            for tensor in tensors.values()
            if tensor["first_operator"] <= operator <= tensor["last_operator"]
        ]
        top = max(tensor["offset"] + tensor["bytes"] for tensor in alive)
        if top > 49152:
            by_hand[operator] = (top, {tensor["index"] for tensor in alive})
    assert by_hand == {
        one["operator"]: (one["top_bytes"], set(one["tensors"])) for one in data["in_the_way"]
    }


def test_pinned_inputs_and_outputs(mobilenet: Path, capsys: Capture) -> None:
    model = read_model(mobilenet)
    data = planned([str(mobilenet), "--pin-io"], capsys)
    pinned = {*model.inputs, *model.outputs}
    spans = {t["index"]: (t["offset"], t["offset"] + t["bytes"]) for t in data["tensors"]}
    for tensor in pinned:
        start, end = spans[tensor]
        assert all(e <= start or s >= end for t, (s, e) in spans.items() if t != tensor)
    assert not pinned & {one["input"] for one in data["overlaps"]}
    free = planned([str(mobilenet)], capsys)
    assert pinned & {one["input"] for one in free["overlaps"]}


@pytest.mark.parametrize("align", [4, 64, 48])
def test_alignment(align: int, mobilenet: Path, capsys: Capture) -> None:
    data = planned([str(mobilenet), "--align", str(align)], capsys)
    assert all(tensor["offset"] % align == 0 for tensor in data["tensors"])
    assert data["arena_bytes"] % align == 0
    assert data["provenance"]["align_bytes"] == align
    least = planned([str(mobilenet), "--align", "4"], capsys)["arena_bytes"]
    assert least <= data["arena_bytes"] < least + 3 * align


def test_solvers_and_overlaps(mobilenet: Path, capsys: Capture) -> None:
    def arena(*words: str) -> int:
        return int(planned([str(mobilenet), *words], capsys)["arena_bytes"])

    assert arena("--solver", "tflm-greedy") == 131072
    assert arena("--solver", "first-fit") == 98304
    assert arena("--overlaps", "none") == 98304
    assert ARENA < arena("--overlaps", "paper") < 98304
    need_package("ortools", "OR-tools")
    assert arena("--solver", "exact", "--time-limit", "20") == ARENA


def test_a_diagram(mobilenet: Path, overlaps: Path, tmp_path: Path, capsys: Capture) -> None:
    picture = tmp_path / "arena.svg"
    words = [str(mobilenet), "--overlaps", str(overlaps), "--diagram", str(picture)]
    assert main(["plan", *words]) == 0
    assert picture.read_text().startswith("<?xml")
    capsys.readouterr()
    assert "exists already" in fails(words, capsys)
    assert "expected" in fails([str(mobilenet), "--diagram", str(tmp_path / "a.gif")], capsys)


def test_mistakes(mobilenet: Path, overlaps: Path, tmp_path: Path, capsys: Capture) -> None:
    text, empty = tmp_path / "text.tflite", tmp_path / "empty.tflite"
    text.write_text("no model at all, but long enough to be one")
    empty.write_bytes(b"")
    assert "none.tflite: cannot be read" in fails([str(tmp_path / "none.tflite")], capsys)
    assert "text.tflite: " in fails([str(text)], capsys)
    assert "is empty, expected a .tflite file" in fails([str(empty)], capsys)
    assert "is no plain file" in fails(["/dev/null"], capsys)
    net_overlaps = [str(mobilenet), "--overlaps"]
    assert "excat: cannot be read as overlaps" in fails([*net_overlaps, "excat"], capsys)
    said = fails([*net_overlaps, str(mobilenet)], capsys)
    assert "is a network, expected measured overlaps; use diagmem measure" in said
    other = tmp_path / "other.tflite"
    other.write_bytes(small().file())
    said = fails([str(other), "--overlaps", str(overlaps)], capsys)
    assert f"overlaps.json: was measured on 'a net.tflite', another graph than {other}" in said
    for words in (["--align", "0"], ["--arena", "-5"], ["--seed", "x"], ["--time-limit", "0"]):
        assert f"argument {words[0]}" in fails([str(mobilenet), *words], capsys)
    assert "argument --solver: invalid choice" in fails(
        [str(mobilenet), "--solver", "best"], capsys
    )
    before = mobilenet.read_bytes(), overlaps.read_bytes()
    for output in (mobilenet, overlaps):
        words = [*net_overlaps, str(overlaps), "-o", str(output), "--force"]
        assert "is the input itself" in fails(words, capsys)
    assert (mobilenet.read_bytes(), overlaps.read_bytes()) == before
    assert "there is no directory" in fails(
        [str(mobilenet), "-o", str(tmp_path / "x" / "y")], capsys
    )


def test_overlaps_too_large_to_be_true_shrink_nothing(mobilenet: Path, capsys: Capture) -> None:
    """A D beyond the output is one that allows nothing."""
    model = read_model(mobilenet)
    measured = as_measured(model)
    far = replace(
        measured,
        operators=tuple(
            replace(
                operator,
                pairs=tuple(
                    replace(pair, min_displacement_bytes=1 << 70, in_place=False)
                    for pair in operator.pairs
                ),
            )
            for operator in measured.operators
        ),
    )
    path = mobilenet.with_name("far.json")
    write_overlaps(far, path)
    data = planned([str(mobilenet), "--overlaps", str(path)], capsys)
    assert data["arena_bytes"] == 98304
    assert data["overlaps"] == []


def test_damaged_overlaps_are_one_line(
    mobilenet: Path, overlaps: Path, tmp_path: Path, capsys: Capture
) -> None:
    whole, random_ = overlaps.read_bytes(), random.Random(1)
    for _ in range(25):
        data = bytearray(whole)
        data[random_.randrange(len(data))] = random_.randrange(256)
        overlaps.write_bytes(data)
        code = main(["plan", str(mobilenet), "--overlaps", str(overlaps), "--solver", "first-fit"])
        out, err = capsys.readouterr()
        assert code == 0 or (code, out, err.count("\n")) == (2, "", 1)


def test_an_alignment_that_leaves_scratch_misaligned_is_refused(
    mobilenet: Path, capsys: Capture
) -> None:
    assert main(["plan", str(mobilenet), "--align", "6"]) == 2
    assert "an alignment of 6 bytes, expected a multiple of 4" in capsys.readouterr().err
