"""Results as counts, CSV and JSON, and back to a question."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.check.judge import Finding, Question, draw_questions, judge
from diagmem.check.results import (
    COLUMNS,
    Against,
    against_others,
    as_json,
    count,
    read_question,
    write_csv,
)
from diagmem.ops import OPERATORS
from tests.check.python_kernels import PythonKernels

OPERATOR_KEYS = set(
    "operator kernels cases equal looser mean_gap_bytes largest_gap_bytes unsafe"
    " overlapped_equal tight refused reasons".split()
)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_row_is_the_question_again(operator: str, tmp_path: Path) -> None:
    questions = draw_questions(operator, 4, seed=1)
    found = judge(PythonKernels(), questions)
    path = tmp_path / "results.csv"
    write_csv([one for _, one in found], path)
    for row, (number, _) in enumerate(found, 1):
        assert read_question(f"{path}:{row}") == ("python", questions[number])
    assert [path] == list(tmp_path.iterdir())


def test_the_question_again_has_the_same_answer(tmp_path: Path) -> None:
    kernels = PythonKernels()
    found = [one for _, one in judge(kernels, draw_questions("UNPACK", 4, seed=1))]
    path = tmp_path / "results.csv"
    write_csv(found, path)
    for row, one in enumerate(found, 1):
        _, question = read_question(f"{path}:{row}")
        assert one in [again for _, again in judge(kernels, [question])]


def test_json(tmp_path: Path) -> None:
    found = [one for _, one in judge(PythonKernels(), draw_questions("PACK", 5, seed=2))]
    data = json.loads(json.dumps(as_json(found)))
    assert set(data) == {"operators", "targets", "cases"}
    assert data["targets"] == []
    [total] = data["operators"]
    assert set(total) == OPERATOR_KEYS
    assert len(data["cases"]) == len(found) >= total["cases"]
    for case, one in zip(data["cases"], found, strict=True):
        assert set(COLUMNS) | {"equal", "unsafe", "gap_bytes"} == set(case)
        assert case["exact"] == one.exact


def test_counts_keep_operators_and_sets_apart() -> None:
    layers = [draw_questions(name, 3, seed=0) for name in ("RELU", "ADD")]
    found = [
        one
        for name in ("first", "second")
        for questions in layers
        for _, one in judge(PythonKernels(name), questions)
    ]
    assert [(one.operator, one.kernels) for one in count(found)] == [
        ("RELU", "first"),
        ("ADD", "first"),
        ("RELU", "second"),
        ("ADD", "second"),
    ]


HEAD = "operator,kernels,attributes,seed\n"


@pytest.mark.parametrize(
    ("text", "row", "said"),
    [
        (HEAD, "1", "row 1 is not there, expected 1 to 0"),
        (f"{HEAD}RELU,c,input=2x3,0\n", "2", "row 2 is not there, expected 1 to 1"),
        (f"{HEAD}RELU,c,input=2x3,0\n", "0", "row 0 is not there"),
        ("a,b\n1,2\n", "1", "no usable operator, kernels, attributes, seed, expected results of"),
        (f"{HEAD}RELU,c,input=2x3,many\n", "1", "no usable seed"),
        (f"{HEAD}RELU,c,input=2x3\n", "1", "no usable seed"),
        (f"{HEAD}RELUX,c,input=2x3,0\n", "1", "RELUX"),
        (f"{HEAD}RELU,c,input=2x3 shape=4,0\n", "1", "no attribute 'shape'"),
        (f"{HEAD}RELU,c,nonsense,0\n", "1", "expected key=value"),
        ("\0,\0\n\0,\0\n", "1", "no usable|cannot be read"),
        ("", "1", "row 1 is not there"),
    ],
)
def test_files_that_hold_no_such_case(text: str, row: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(DiagmemError, match=said) as error:
        read_question(f"{path}:{row}")
    assert "\n" not in str(error.value)


def test_a_path_may_hold_colons(tmp_path: Path) -> None:
    path = tmp_path / "a:b.csv"
    path.write_text(f"{HEAD}RELU,c,dtype=int8 input=2x3,5\n")
    kernels, question = read_question(f"{path}:1")
    relu = OPERATORS["RELU"].layer({"dtype": "int8", "input": "2x3"})
    assert (kernels, question) == ("c", Question(relu, 5))


@pytest.mark.parametrize("text", ["results.csv", "results.csv:", ":1", "no-such.csv:1", "x:-1"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(DiagmemError, match=r"expected FILE.csv:ROW|cannot be read"):
        read_question(text)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DiagmemError, match="expected results"):
        read_question(f"{path}:1")


def test_targets_against_this_machine() -> None:
    def found(kernels: str, operator: str, traced: int, refused: str = "") -> Finding:
        return Finding(operator, kernels, "a=1", 0, traced=traced, refused=refused)

    findings = [
        found("c", "ADD", 0),
        found("c@cortex-m4", "ADD", 4),
        found("c", "RELU", 8),
        found("c@cortex-m4", "RELU", 8),
        found("c", "EXP", 1),
        found("c@cortex-m4", "EXP", 0, refused="no room"),
        found("c-O3@cortex-m4", "ADD", 0),
    ]
    assert against_others(findings) == [Against("c@cortex-m4", "c", 2, {"ADD": 1})]
    [said] = as_json(findings)["targets"]
    assert said == {"kernels": "c@cortex-m4", "against": "c", "pairs": 2, "differ": {"ADD": 1}}
