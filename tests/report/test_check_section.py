"""Results files as tables, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.check.judge import Finding
from diagmem.check.results import write_csv
from diagmem.report.check_section import results_section

DOCS = Path(__file__).resolve().parents[2] / "docs"


def finding(**values: Any) -> Finding:
    return Finding("CONV_2D", "c:reference", "in_h=3", 1, **values)


def test_a_check_is_counted_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    good = {"exact": 8, "algorithmic": 8, "traced": 8, "overlapped_equal": True, "tight": True}
    write_csv(
        [
            finding(**good),
            finding(**{**good, "exact": 12}),
            finding(**{**good, "paper": 4}),
            finding(refused="too large"),
        ],
        path,
    )
    counted, cases = results_section(path)["tables"]
    assert dict(zip(counted["columns"], counted["rows"][0], strict=True)) == {
        "operator": "CONV_2D",
        "kernels": "c:reference",
        "cases": 4,
        "closed form equal": 2,
        "claims too much": 1,
        "refused": 1,
        "overlapped equal": 3,
        "tight": 3,
    }
    assert len(cases["rows"]) == 4
    assert cases["rows"][0][cases["columns"].index("traced")] == 8


def test_results_of_networks_are_one_table() -> None:
    path = DOCS / "results.json"
    (table,) = results_section(path)["tables"]
    networks = json.loads(path.read_text(encoding="utf-8"))["networks"]
    assert [row[0] for row in table["rows"]] == list(networks)
    column = table["columns"].index("arena_bytes.measured")
    assert table["rows"][0][column] == next(iter(networks.values()))["arena_bytes"]["measured"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ('{"networks": 3}', 'found no "networks"'),
        ('{"networks": {"a": 3}}', 'found no "networks"'),
        ("a,b\n1,2\n", "expected a trace, a model or results"),
        ('a,"b\n', "expected a trace, a model or results"),
        ("\n", "expected a trace, a model or results"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "odd"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DiagmemError, match=said) as error:
        results_section(path)
    assert "\n" not in str(error.value)


def test_a_row_that_is_too_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_csv([finding()], path)
    path.write_text(path.read_text(encoding="utf-8") + "CONV_2D\n", encoding="utf-8")
    with pytest.raises(DiagmemError, match="row 2: found 1 fields"):
        results_section(path)
