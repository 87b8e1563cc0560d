"""What a check has found: counted by operator, and written so that a case can be
run again."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.base.text import cell
from diagmem.check.judge import Finding, Question
from diagmem.ops import find_operator
from diagmem.ops.attributes import parse_words

MAX_REPLAYED_BYTES = 1 << 28
COLUMNS = [field.name for field in dataclasses.fields(Finding)]


@dataclass(frozen=True, slots=True)
class Count:
    """How the cases of one operator on one set of kernels have come out.

    A case with several pairs counts as equal, overlapped_equal or tight where all
    of them are, as looser or unsafe where any is.  Gaps are bytes by which the
    formula's D is larger than the trace's, the mean over the looser cases.
    """

    operator: str
    kernels: str
    cases: int
    equal: int
    looser: int
    mean_gap_bytes: float
    largest_gap_bytes: int
    unsafe: int
    overlapped_equal: int
    tight: int
    refused: int
    reasons: Mapping[str, int]

    @property
    def wrong(self) -> bool:
        return self.unsafe > 0 or self.overlapped_equal < self.cases


def count(findings: Iterable[Finding]) -> list[Count]:
    """One count for each operator and set, in the order of their first finding."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.operator, finding.kernels), []).append(finding)
    return [_count(*key, group) for key, group in groups.items()]


def _count(operator: str, kernels: str, findings: Sequence[Finding]) -> Count:
    cases: dict[tuple[str, int], list[Finding]] = {}
    reasons: dict[str, int] = {}
    for finding in findings:
        if finding.refused:
            reasons[finding.refused] = reasons.get(finding.refused, 0) + 1
        else:
            cases.setdefault((finding.attributes, finding.seed), []).append(finding)
    gaps = [gap for pairs in cases.values() if (gap := max(pair.gap for pair in pairs))]
    return Count(
        operator=operator,
        kernels=kernels,
        cases=len(cases),
        equal=sum(all(pair.equal for pair in pairs) for pairs in cases.values()),
        looser=len(gaps),
        mean_gap_bytes=sum(gaps) / len(gaps) if gaps else 0.0,
        largest_gap_bytes=max(gaps, default=0),
        unsafe=sum(any(pair.unsafe for pair in pairs) for pairs in cases.values()),
        overlapped_equal=sum(
            all(pair.overlapped_equal for pair in pairs) for pairs in cases.values()
        ),
        tight=sum(all(pair.tight for pair in pairs) for pairs in cases.values()),
        refused=sum(reasons.values()),
        reasons=reasons,
    )


@dataclass(frozen=True, slots=True)
class Against:
    """The same layers on two sets of kernels: how often their traced D are equal.

    ``differ`` counts the pairs of which they are not, by operator.
    """

    kernels: str
    against: str
    pairs: int
    differ: Mapping[str, int]


def against_others(findings: Iterable[Finding]) -> list[Against]:
    """Each set on a target (``c@cortex-m4``) against the same one on this machine."""
    traced: dict[str, dict[tuple[object, ...], int]] = {}
    for one in findings:
        if not one.refused and not one.silent:
            pair = (one.operator, one.attributes, one.seed, one.input, one.output)
            traced.setdefault(one.kernels, {})[pair] = one.traced
    comparisons = []
    for name, there in traced.items():
        base, at, _ = name.partition("@")
        here = traced.get(base, {}) if at else {}
        both = [pair for pair in there if pair in here]
        if both:
            differ = Counter(str(pair[0]) for pair in both if there[pair] != here[pair])
            comparisons.append(Against(name, base, len(both), dict(differ)))
    return comparisons


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "targets": [dataclasses.asdict(one) for one in against_others(findings)],
        "operators": [dataclasses.asdict(one) for one in count(findings)],
        "cases": [
            {
                **dataclasses.asdict(finding),
                "equal": finding.equal,
                "unsafe": finding.unsafe,
                "gap_bytes": finding.gap,
            }
            for finding in findings
        ],
    }


def write_csv(findings: Sequence[Finding], path: Path) -> None:
    """One row for each finding; row 1 is the first behind the names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for finding in findings:
        values = (getattr(finding, name) for name in COLUMNS)
        writer.writerow(cell(v) if isinstance(v, str) else "" if v is None else v for v in values)
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def read_question(text: str) -> tuple[str, Question]:
    """The kernels and the case of ``results.csv:ROW``.

    Raises
    ------
    DiagmemError
        There is no such file or row, or it holds no case.
    """
    name, colon, number = text.rpartition(":")
    if not colon or not number.isdecimal():
        raise DiagmemError(f"{text}: expected FILE.csv:ROW, rows from 1")
    refuse_other(Path(name), FileType.RESULTS)
    try:
        with open(name, newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DiagmemError(f"{name}: cannot be read as results: {error}") from error
    if not 1 <= int(number) <= len(rows):
        raise DiagmemError(f"{name}: row {number} is not there, expected 1 to {len(rows)}")
    row = rows[int(number) - 1]
    missing = [key for key in ("operator", "kernels", "attributes", "seed") if not row.get(key)]
    if missing or not row["seed"].isdecimal():
        raise DiagmemError(
            f"{name}: row {number}: no usable {', '.join(missing) or 'seed'}, expected results of"
            " diagmem check -o"
        )
    try:
        operator = find_operator(row["operator"])
        layer = operator.layer(parse_words(row["attributes"].split()))
    except DiagmemError as error:
        raise DiagmemError(f"{name}: row {number}: {error}") from None
    held = sum(tensor.size_bytes for tensor in (*layer.inputs, *layer.outputs))
    if held > MAX_REPLAYED_BYTES:
        raise DiagmemError(
            f"{name}: row {number}: tensors of {held:,} bytes, expected {MAX_REPLAYED_BYTES:,} at"
            " most to be run"
        )
    return row["kernels"], Question(layer, int(row["seed"]))
