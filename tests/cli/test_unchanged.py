"""What each verb prints, against what it printed before: ``tests/cli/kept``.

A change of words is seen here as a diff of the kept files, which are written anew by

    KEEP=1 python -m pytest tests/cli/test_unchanged.py

Paths and times are taken out; of long JSON the keys and types are kept, and of ``--help``
the options.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from diagmem.cli.main import VERBS, main
from tests.tools import need_package

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).parent / "kept"
WHOLE = 4000
"""Longer JSON is kept as its keys and types."""

CONV = "CONV_2D input=1x7x5x3 filter=3x2 output_channels=4 dtype=int8"
EVENTS = "traces/depthwise_conv_2d_f32.dmt"
SUMMARY = "traces/depthwise_conv_2d_f32_summary.dmt"
PLACES = "--input x=address:0x1000,bytes:64 --output y=address:0x2000,bytes:64"

CALLS = {
    "info": f"info {EVENTS}",
    "info-json": f"info {EVENTS} --json",
    "info-summary": f"info {SUMMARY}",
    "info-tflm": "info traces/tflm_depthwise_conv_2d_f32.dmt",
    "info-version-1": "info traces/versions/1-events.dmt",
    "info-copies": "info traces/versions/2-events.dmt",
    "info-missing": "info traces/nothing.dmt",
    "overlap": f"overlap {EVENTS}",
    "overlap-json": f"overlap {EVENTS} --json",
    "overlap-align": f"overlap {EVENTS} --align 16",
    "overlap-summary": f"overlap {SUMMARY}",
    "overlap-union": "overlap traces/add_f32.dmt traces/add_f32_O3.dmt",
    "overlap-union-json": "overlap traces/add_f32.dmt traces/add_f32_O3.dmt --json",
    "overlap-unlike": "overlap traces/add_f32.dmt traces/relu_int8.dmt",
    "overlap-copies": "overlap traces/versions/2-events.dmt",
    "overlap-in-window": "overlap traces/softmax_int8.dmt --window 0",
    "overlap-no-window": "overlap traces/softmax_int8.dmt --window 7",
    "heatmap": f"heatmap {EVENTS} -o T/a.png",
    "heatmap-json": f"heatmap {SUMMARY} -o T/b.svg --json",
    "heatmap-again": f"heatmap {EVENTS} -o T/a.png",
    "heatmap-ending": f"heatmap {EVENTS} -o T/a.doc",
    "validate": f"validate {EVENTS}",
    "validate-json": f"validate {EVENTS} --json",
    "validate-against": f"validate {SUMMARY} --against {EVENTS}",
    "validate-list": "validate --list",
    "export": "export traces/relu_int8.dmt -o T/relu.csv",
    "export-perfetto": "export traces/relu_int8.dmt -o T/relu.json",
    "import": f"import T/lackey.txt {PLACES} -o T/lackey.dmt",
    "import-json": f"import T/lackey.txt {PLACES} -o T/lackey2.dmt --json",
    "import-bad": f"import T/torn.txt {PLACES} -o T/torn.dmt",
    "import-overlap": "overlap T/lackey.dmt",
    "formula": f"formula {CONV}",
    "formula-json": f"formula {CONV} --json",
    "formula-paper": f"formula {CONV} --method paper",
    "formula-algorithmic": f"formula {CONV} --method algorithmic --order two-columns",
    "formula-list": "formula",
    "formula-wrong": "formula CONV_3D input=1x2x2x1",
    "formula-two": "formula ADD input=1x4x4x2 input2=1x1x1x2 dtype=int8",
    "prove": "prove relu_int8",
    "prove-json": "prove relu_int8 --json",
    "prove-too-little": "prove conv_2d_f32 in_h=5 in_w=4 --displacement 0",
    "trace": "trace relu_int8 -o T/relu.dmt",
    "trace-json": "trace relu_int8 -o T/relu2.dmt --json --mode summary",
    "trace-wrong": "trace no_such_kernel -o T/x.dmt",
    "check": "check --op ADD --kernels c --cases 2 --jobs 1",
    "check-json": "check --op ADD --kernels c --cases 2 --jobs 1 --json -o T/check.csv",
    "zoo": "zoo list",
    "zoo-json": "zoo list --json",
    "zoo-write": "zoo write mobilenet_v1_0.25_128_int8 --graph -o T/graph.tflite",
    "plan": "plan T/graph.tflite --overlaps exact --solver heuristic",
    "plan-json": "plan T/graph.tflite --overlaps exact --solver heuristic --json",
    "plan-none": "plan T/graph.tflite --overlaps none --solver tflm-greedy",
    "plan-arena": "plan T/graph.tflite --overlaps exact --solver heuristic --arena 1000",
    "measure": "measure T/net.tflite -o T/overlaps.json",
    "measure-json": "measure T/net.tflite --json",
    "measure-kernels": "measure T/net.tflite --kernels c -o T/described.json",
    "plan-measured": "plan T/net.tflite --overlaps T/overlaps.json -o T/planned.tflite",
    "plan-measured-json": "plan T/net.tflite --overlaps T/overlaps.json --json",
    "plan-described": "plan T/net.tflite --overlaps T/described.json",
    "verify": "verify T/net.tflite T/planned.tflite --overlaps T/overlaps.json --runs 2",
    "verify-json": "verify T/net.tflite T/planned.tflite --runs 2 --json",
    "verify-wrong": "verify T/graph.tflite T/planned.tflite",
    "fit": "fit T/graph.tflite",
    "fit-json": "fit T/graph.tflite --json",
    "fit-list": "fit --list",
    "report": f"report {EVENTS} T/net.tflite T/check.csv --overlaps T/overlaps.json -o T/r.html",
    "report-json": f"report {SUMMARY} -o T/s.html --json",
    "doctor-json": "doctor --json",
    "no-verb": "mesure net.tflite",
}
MACHINE = {"doctor-json", "report-json"}
"""Depends on what is installed, or how well it compresses: keys and types alone are kept."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Each call's exit code, standard output and standard error; one after the other,
    since some read what others wrote."""
    need_package("tflite_micro", "tflite-micro")
    place = tmp_path_factory.mktemp("unchanged")
    shutil.copy(KEPT / "net.tflite", place)
    log = ["==1== lackey", " L 1000,4", " S 2000,4", "I  400000,3", " M 2004,4", " L 103c,4"]
    (place / "lackey.txt").write_text("\n".join(log) + "\n")
    (place / "torn.txt").write_text("\n".join([*log, " L 10"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("COLUMNS", "80")
        yield {name: ran(name, call, place) for name, call in CALLS.items()}


def ran(name: str, call: str, place: Path) -> str:
    words = [word.replace("T/", f"{place}/") for word in shlex.split(call)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: object = main(words)
        except SystemExit as stop:  # argparse's way out
            code = stop.code
    text = out.getvalue()
    if "--json" in words and code in (0, 1):
        data = json.loads(text)
        if len(text) > WHOLE or name in MACHINE:
            data = shape(data)
        text = json.dumps(data, indent=1) + "\n"
    if name in MACHINE:
        return text
    whole = f"$ diagmem {call}\nexit code {code}\n{text}--- standard error\n{err.getvalue()}"
    return timeless(whole.replace(f"{place}/", "T/").replace(f"{ROOT}/", ""))


def timeless(text: str) -> str:
    text = re.sub(r"\d+(\.\d+)?( ?)(ms|s|seconds|minutes)\b", r"N\2\3", text)
    text = re.sub(r'("[a-z_]*seconds[a-z_]*": )[\d.e-]+', r"\1N", text)
    # How argparse quotes choices depends on Python's release, a page's size on zlib's.
    text = re.sub(r"choose from .*", "choose from ...", text)
    text = re.sub(r"(\.html: )[\d,]+ bytes", r"\1N bytes", text)
    if text.startswith("$ diagmem trace "):
        # How well addresses compress depends on where the program lies.
        text = re.sub(r'(events, |"bytes_on_disk": )\d+', r"\1N", text)
    return re.sub(r"gcc \(.*?\) [\d.]+|clang version [^\",]*|valgrind-?[ ]?\d[\d.]*", "TOOL", text)


def shape(data: object) -> object:
    """Keys and types; of a list those of all its entries."""
    if isinstance(data, dict):
        return {key: shape(value) for key, value in data.items()}
    if isinstance(data, list):
        shapes = {json.dumps(shape(entry), sort_keys=True) for entry in data}
        return [json.loads(entry) for entry in sorted(shapes)]
    return type(data).__name__


@pytest.mark.xdist_group("unchanged")
@pytest.mark.usefixtures("valgrind_tool")
@pytest.mark.parametrize("name", CALLS)
def test_a_verb_prints_what_it_printed(name: str, printed: Mapping[str, str]) -> None:
    kept = KEPT / f"{name}.txt"
    if os.environ.get("KEEP"):
        kept.write_text(printed[name], encoding="utf-8")
    assert printed[name] == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_the_options_that_it_had(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    options = sorted(set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out)))
    kept = KEPT / "options.json"
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if os.environ.get("KEEP"):
        before[verb] = options
        kept.write_text(json.dumps(before, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert options == before[verb]


def test_every_verb_is_called() -> None:
    assert {call.split()[0] for call in CALLS.values()} >= set(VERBS)
