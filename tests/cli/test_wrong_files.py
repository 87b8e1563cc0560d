"""A file of another type than expected: what it is, and what takes it, in every verb."""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from diagmem.base.filetypes import FileType, file_type
from diagmem.check.results import write_csv
from diagmem.kernels.catalog import find
from diagmem.networks.measured import Measured, write_overlaps
from diagmem.tflite.zoo import NETWORKS, network_bytes
from tests.cli.conftest import Capture, wrong_call
from tests.tflite.build import small
from tests.tools import need_programs
from tests.trace.compose import compose

PACKAGE = Path(sys.modules["diagmem"].__file__ or "").parent
KINDS = {
    "trace": (FileType.TRACE, "diagmem overlap {}"),
    "net": (FileType.NETWORK, "diagmem measure {}"),
    "kernel": (FileType.KERNEL, "diagmem trace {}"),
    "overlaps": (FileType.OVERLAPS, "diagmem plan MODEL.tflite --overlaps {}"),
    "results": (FileType.RESULTS, "diagmem report {} -o report.html"),
    "boards": (FileType.BOARDS, "diagmem fit MODEL.tflite --boards {}"),
    "log": (FileType.LOG, "diagmem import {} -o T.dmt"),
    "program": (FileType.PROGRAM, "diagmem trace --function NAME -- {}"),
    "arrays": (FileType.ARRAYS, "diagmem measure MODEL.tflite --inputs {}"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each type; their names say nothing, and need quotes."""
    folder = tmp_path_factory.mktemp("a folder")
    compose(folder / "trace", [])
    (folder / "net").write_bytes(small().file())
    shutil.copy(find("relu_f32"), folder / "kernel")
    about = {"kernels": "none", "target": "none"}
    write_overlaps(Measured(model={}, kernels=about, about={}, operators=()), folder / "overlaps")
    write_csv([], folder / "results")
    shutil.copy(next((PACKAGE / "boards").glob("*.csv")), folder / "boards")
    (folder / "log").write_text("==1== Lackey\nI  04001000,3\n S 1ffeffe7e8,8\n")
    shutil.copy("/bin/true", folder / "program")
    with (folder / "arrays").open("wb") as file:
        np.savez(file, x=np.zeros(3))
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_each_type_is_recognised(name: str, folder: Path) -> None:
    assert file_type(folder / name) == KINDS[name][0]


def test_other_types(tmp_path: Path) -> None:
    for content, known in (
        (b"", None),
        (b"text", None),
        (b"\xff\xfe\0\x01", None),
        (b'[project]\nname = "x"\n', None),
        (gzip.compress(b"x"), FileType.GZIP),
        (b'{"a": 1}', FileType.JSON),
        (b"[]", FileType.JSON),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', FileType.SVG),
        (b"<!DOCTYPE html>\n<html>", FileType.HTML),
        (b"\x89PNG\r\n", FileType.PNG),
        (b"PK\3\4", FileType.ZIP),
        (b"P" * (1 << 17), None),
    ):
        (tmp_path / "file").write_bytes(content)
        assert file_type(tmp_path / "file") == known, content[:20]
    assert file_type(tmp_path / "none") is None
    assert file_type(tmp_path) is None


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_int8", "resnet50_v2_f32"])
def test_the_zoo_is_of_networks(name: str, tmp_path: Path) -> None:
    assert name in NETWORKS
    (tmp_path / "file").write_bytes(network_bytes(name))
    assert file_type(tmp_path / "file") == FileType.NETWORK


def test_bundled_descriptions_are_kernels() -> None:
    files = sorted((PACKAGE / "kernels" / "c").glob("*.toml"))
    assert files
    assert {file_type(path) for path in files} == {FileType.KERNEL}


A_TRACE, A_NETWORK, A_KERNEL = FileType.TRACE, FileType.NETWORK, FileType.KERNEL
PLACES = "--input x=address:0x1000,bytes:64"
CALLS = [
    ("info FILE", [A_TRACE]),
    ("overlap FILE", [A_TRACE]),
    ("validate FILE", [A_TRACE]),
    ("heatmap FILE -o OUT.png", [A_TRACE]),
    ("export FILE -o OUT.csv", [A_TRACE]),
    ("export FILE -o OUT.json", [A_TRACE]),
    ("measure FILE", [A_NETWORK]),
    ("plan FILE", [A_NETWORK]),
    ("fit FILE", [A_NETWORK]),
    ("verify FILE NET", [A_NETWORK]),
    ("verify NET FILE", [A_NETWORK]),
    ("plan NET --overlaps FILE", [FileType.OVERLAPS]),
    ("fit NET --overlaps FILE", [FileType.OVERLAPS]),
    ("report NET --overlaps FILE -o OUT.html", [FileType.OVERLAPS]),
    ("measure NET --inputs FILE", [FileType.ARRAYS]),
    ("fit NET --boards FILE", [FileType.BOARDS]),
    ("trace FILE", [A_KERNEL]),
    ("prove FILE", [A_KERNEL]),
    ("measure NET --kernels FILE", [A_KERNEL]),
    ("trace -- FILE", [FileType.PROGRAM]),
    ("trace --target cortex-m4 -- FILE", [FileType.PROGRAM]),
    (f"import FILE {PLACES} -o OUT.dmt", [FileType.LOG]),
    ("check --replay FILE:1", [FileType.RESULTS]),
    ("report FILE -o OUT.html", [A_TRACE, A_NETWORK, FileType.RESULTS]),
]


@pytest.mark.parametrize(("call", "expected"), CALLS)
def test_every_verb_says_what_it_was_given(
    call: str, expected: list[FileType], folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    if "--target" in call:
        need_programs("qemu-system-arm", target="cortex-m")
    for name, (known, use) in KINDS.items():
        if known in expected:
            continue
        path = folder / name
        words = [
            word.replace("FILE", str(path))
            .replace("OUT", str(tmp_path / "out"))
            .replace("NET", str(folder / "net"))
            for word in call.split()
        ]
        *some, last = expected
        wanted = f"{', '.join(some)} or {last}" if some else str(last)
        said = wrong_call([], words, capsys)
        takes = use.format(f"'{path}'")
        assert said == f"diagmem {words[0]}: {path}: is {known}, expected {wanted}; use {takes}\n"
