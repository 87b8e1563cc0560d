"""Lackey's logs, read by columns, against reading them line by line."""

from __future__ import annotations

import gzip
import lzma
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.base.errors import DiagmemError
from diagmem.trace import lackey
from diagmem.trace.lackey import LackeyLog

ACCESS = re.compile(r"(I | [LSM]) ([0-9a-fA-F]{1,16}),([0-9]{1,6})")
PREFIXES = ("I  ", " L ", " S ", " M ")

Line = tuple[str, int, int]


def by_line(text: str) -> list[Line] | None:
    """The reference: None where a line begins like an access and is none."""
    found = []
    for line in text.split("\n")[:-1]:
        if len(line) > 3 and line[:3] in PREFIXES:
            parsed = ACCESS.fullmatch(line)
            if not parsed or int(parsed[2], 16) >= 1 << 63 or int(parsed[3]) == 0:
                return None
            found.append((parsed[1].strip(), int(parsed[2], 16), int(parsed[3])))
        elif re.search(f"{ACCESS.pattern}$", line):
            return None  # an access that would be lost
    return found


def by_column(log: LackeyLog) -> list[Line]:
    found: list[Line] = []
    for piece in log.read():
        for i in range(len(piece.address)):
            kind = (bool(piece.instruction[i]), bool(piece.load[i]), bool(piece.store[i]))
            letter = "ILSM"[[(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)].index(kind)]
            found.append((letter, int(piece.address[i]), int(piece.size[i])))
    return found


accesses = st.builds(
    "{}{:0{}x},{}".format,
    st.sampled_from(PREFIXES),
    st.integers(0, (1 << 63) - 1),
    st.integers(1, 16),
    st.integers(1, 99_999),
)
other = st.text("ILSM =0159afx,\t", max_size=12)
lines = st.lists(st.one_of(accesses, accesses, accesses, other), max_size=30)


@given(lines=lines, chunk=st.integers(1, 64))
def test_columns_read_what_lines_say(
    lines: list[str], chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text)
    expected = by_line(text)
    log = LackeyLog(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lackey, "CHUNK_BYTES", max(chunk, 16))
        if expected is None:
            with pytest.raises(DiagmemError, match=r"log: line \d+: found .*expected an access"):
                by_column(log)
            return
        assert by_column(log) == expected
    assert (log.lines, log.passed_over) == (len(lines), len(lines) - len(expected))
    assert not log.torn


def test_packed_logs(tmp_path: Path) -> None:
    text = b"==1== Lackey\nI  04001000,3\n L 1ffefffe70,8\n M 10,4\n"
    expected = [("I", 0x4001000, 3), ("L", 0x1FFEFFFE70, 8), ("M", 0x10, 4)]
    for name, pack in (("a.gz", gzip.compress), ("a.xz", lzma.compress), ("a", bytes)):
        (tmp_path / name).write_bytes(pack(text))
        assert by_column(LackeyLog(tmp_path / name)) == expected


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_what_is_not_packed_or_cut_off(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b" L 10,4\n")
    with pytest.raises(DiagmemError, match=r"a\.[gx]z: cannot read: "):
        by_column(LackeyLog(path))
    pack = gzip.compress if suffix == ".gz" else lzma.compress
    path.write_bytes(pack(b" L 10,4\n" * 99)[:-5])
    with pytest.raises(DiagmemError, match=r"a\.[gx]z: cannot read: "):
        by_column(LackeyLog(path))


def test_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("hello\n L 10,4\n S 12,x\n")
    with pytest.raises(DiagmemError, match=r"log: line 3: found ' S 12,x', expected an access"):
        by_column(LackeyLog(path))


def test_an_access_behind_other_text_is_not_lost(tmp_path: Path) -> None:
    """The program wrote half a line to the same file."""
    path = tmp_path / "log"
    path.write_text(" L 10,4\nhalf S 0493d350,8\n")
    with pytest.raises(DiagmemError, match=r"line 2: found an access behind other text, 'half S"):
        by_column(LackeyLog(path))


def test_a_torn_line_is_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(" L 10,4\n S 1")
    log = LackeyLog(path)
    assert by_column(log) == [("L", 0x10, 4)]
    assert log.torn
