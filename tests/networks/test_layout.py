"""Another build of TFLM may lay its objects out anew: then a run is refused, never wrong.

The child process knows where the graph holds its profiler and where the arena is; here
it is told something else.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.write import write_planned
from diagmem.tflm import network as running
from diagmem.tflm.child.job import ComparedJob, NetworkRun, Refused, WatchedCall
from diagmem.tflm.network import network_job, random_inputs, trace_network
from diagmem.tflm.processes import child_process, how_ended, read_records
from diagmem.tflm.profiler_library import profiler_library
from tests.tflite.build import small
from tests.tools import need_package

CALLS = [WatchedCall(name, ()) for name in ("DEPTHWISE_CONV_2D", "ADD", "SOFTMAX")]
CHILDREN = ("network", "compared")
GRAPH = "from diagmem.tflm.child import profiler"
OFFSETS = {0: 0, 3: 432, 4: 688, 5: 944}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Model:
    need_package("tflite_micro", "tflite-micro")
    path = tmp_path_factory.mktemp("layout") / "planned.tflite"
    model = read_model(small().file())
    write_planned(model, [OFFSETS.get(t.index, -1) for t in model.tensors], path)
    return read_model(path)


def refusal(
    planned: Model, change: str, calls: list[WatchedCall] | None = None, child: str = "network"
) -> str:
    """What comes of a run in a child that was changed; empty if it ran."""
    given = CALLS if calls is None else calls
    job = network_job(planned, [random_inputs(planned, 0)], given, profiler_library())
    job = job._replace(comparison=ComparedJob(frozenset(), {}, [{}]))
    with child_process(child, [job]) as (command, results):
        module = command[command.index("-m") + 1]
        code = f"import {module} as child\n{change}\nchild.serve(child.records)"
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *command[-2:]], check=False, capture_output=True
        )
        records = read_records(Path(results))
    refused = "".join(record.why for record in records if isinstance(record, Refused))
    ran = len(records) == 2 and not refused and cast(NetworkRun, records[1]).outputs
    return "" if ran else refused or how_ended(done.returncode) or "no reason given"


@pytest.mark.parametrize("child", CHILDREN)
def test_as_it_is_it_runs(child: str, planned: Model) -> None:
    assert refusal(planned, "", child=child) == ""


@pytest.mark.parametrize("child", CHILDREN)
@pytest.mark.parametrize("word", [0, 4, 6, 8, 11])
def test_a_profiler_that_lies_elsewhere(word: int, child: str, planned: Model) -> None:
    said = refusal(planned, f"{GRAPH}\nprofiler._PROFILER_WORD = {word}", child=child)
    assert "laid out anew" in said or "TFLM called 0 operators" in said or "stopped by" in said


def test_a_graph_that_cannot_be_found(planned: Model) -> None:
    assert "cannot be found" in refusal(planned, f"{GRAPH}\nprofiler._WRAPPER_WORDS = 1")


def test_an_arena_that_lies_elsewhere(planned: Model) -> None:
    shifted = "found = child.arena_of\nchild.arena_of = lambda *given: found(*given) + 16"
    assert "does not lie where it was planned" in refusal(planned, shifted)


@pytest.mark.parametrize("child", CHILDREN)
def test_calls_of_other_operators(child: str, planned: Model) -> None:
    """Their names, their order and their number."""
    for calls, number in (
        ([CALLS[1], CALLS[0], CALLS[2]], 0),
        ([CALLS[0], CALLS[2], CALLS[2]], 1),
        (CALLS[:2], 2),
        ([*CALLS, CALLS[2]], 3),
    ):
        said = refusal(planned, "", calls, child)
        assert f"number {number} is the first that was not expected" in said


def test_what_the_recorder_says_is_not_lost(
    planned: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that is not there is no refusal of TFLM's."""

    def missing(*_: object, **__: object) -> None:
        raise DiagmemError("the tool is not built")

    monkeypatch.setattr(running, "record", missing)
    with pytest.raises(DiagmemError, match=r"^the tool is not built$"):
        trace_network(planned, random_inputs(planned, 0), CALLS, tmp_path / "t.dmt")
