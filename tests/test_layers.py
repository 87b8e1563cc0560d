"""``docs/design.md``: its layers are the folders, and every import goes one way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "diagmem"
TOOL = ROOT / "valgrind-tool"
CORE = TOOL / "core"


FACADE = {"__init__", "__main__", "recording"}
LOWEST = "base"
"""Open to every layer, and in no row's imports."""


@dataclass(frozen=True, slots=True)
class Import:
    """One module of the package, without ``diagmem.``, imports another."""

    source: str
    target: str

    @property
    def layers(self) -> tuple[str, str]:
        return self.source.split(".")[0], self.target.split(".")[0]


def table(page: str) -> dict[str, set[str]]:
    """The layers of the page, the lowest first, each with those that it may import."""
    section = page.split("\n## Layers\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return {name.strip(" `"): set(re.findall(r"`(\w+)`", uses)) for name, _, uses in rows}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


def imports() -> list[Import]:
    """All imports within the package, wherever in a file they are."""
    known = modules()
    return [
        Import(module, target)
        for module, path in known.items()
        for target in imported(path)
        if target in known and target != module
    ]


def imported(path: Path) -> Iterator[str]:
    """Every dotted name that a file imports, without ``diagmem.``: the modules among them are
    its imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names.append(str(node.module))
        else:
            continue
        yield from (name.removeprefix("diagmem.") for name in names if name.startswith("diagmem."))


def backward(found: Iterable[Import], order: Sequence[str]) -> list[Import]:
    """The imports from a layer that stands lower in the table."""
    ranks = {layer: rank for rank, layer in enumerate(order)}
    return [i for i in found if ranks[i.layers[0]] < ranks[i.layers[1]]]


def circle(found: Iterable[Import]) -> tuple[str, ...]:
    """Modules that import each other around a corner, or none."""
    graph: dict[str, set[str]] = {}
    for each in found:
        graph.setdefault(each.source, set()).add(each.target)
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def layered() -> list[Import]:
    return [i for i in imports() if i.source not in FACADE and i.target not in FACADE]


@pytest.fixture(scope="module")
def layers() -> dict[str, set[str]]:
    return table((ROOT / "docs" / "design.md").read_text(encoding="utf-8"))


def test_every_folder_is_a_layer(layers: dict[str, set[str]]) -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(layers) == folders
    assert {path.stem for path in PACKAGE.glob("*.py")} == FACADE


def test_no_import_goes_back(layers: dict[str, set[str]]) -> None:
    assert len(layers) > 10
    assert backward(layered(), list(layers)) == []


def test_the_table_names_every_import(layers: dict[str, set[str]]) -> None:
    arrows = {i.layers for i in layered()}
    for layer, uses in layers.items():
        assert {b for a, b in arrows if a == layer} - {layer, LOWEST} == uses, layer


def test_no_files_import_each_other() -> None:
    assert circle(i for i in imports() if i.source != "__init__") == ()


def test_what_judges_shares_no_code_with_what_it_judges() -> None:
    """The oracle of the tests imports nothing of the package; the verifier of plans only the
    types that plans are made of."""
    oracle = (ROOT / "tests" / "oracle" / "oracle.py").read_text(encoding="utf-8")
    assert "import diagmem" not in oracle
    assert "from diagmem" not in oracle
    used = {i.target for i in imports() if i.source == "arena.verifier"}
    assert used <= {"arena.problem"}


def test_a_file_is_read_in_one_sitting() -> None:
    long = {p.name: n for p in modules().values() if (n := len(p.read_text().splitlines())) > 350}
    assert long == {}


def test_a_name_stands_for_one_thing() -> None:
    """Classes; and files, but for a verb's and what it calls, and both ends of a process."""
    classes: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    for module, path in modules().items():
        folder, _, name = module.rpartition(".")
        if folder not in ("cli", "tflm.child") and path.stem != "__init__":
            files.setdefault(name, []).append(module)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(module)
    assert {name: homes for name, homes in classes.items() if len(homes) > 1} == {}
    twice = {name for name, homes in files.items() if len(homes) > 1}
    assert twice == {"in_place"}  # proven of a kernel, then of a network's tensors


def test_an_import_back_and_a_circle_are_seen() -> None:
    back = Import("trace.window", "analysis.liveness")
    assert backward([back], ["base", "trace", "analysis"]) == [back]
    around = [Import("a", "b"), Import("b", "c"), Import("c", "a"), Import("c", "d")]
    assert set(circle(around)) == {"a", "b", "c"}


def test_the_core_in_c_knows_no_recorder() -> None:
    """Valgrind's headers and QEMU's come in by each side's dm_port.h alone."""
    files = sorted(CORE.glob("*.[ch]"))
    found = {
        name
        for file in files
        for name in re.findall(r'^#include ["<](.*)[">]', file.read_text(), re.MULTILINE)
    }
    assert len(files) > 5
    assert found == {"dm_core.h", "dm_port.h"}


def c_imports() -> list[Import]:
    """Which of the tool's files use what which others define, by the names in their text."""
    texts = {file.stem: file.read_text() for file in TOOL.glob("dm_*.c")}
    defined = re.compile(r"^(?!static|extern|[ #/*{}])[^;\n]*?\b(dm_\w+)(?= *[(=;[])", re.MULTILINE)
    homes = {name: stem for stem, text in texts.items() for name in defined.findall(text)}
    return [
        Import(stem, homes[name])
        for stem, text in texts.items()
        for name in sorted(set(re.findall(r"\bdm_\w+", text)))
        if homes.get(name, stem) != stem
    ]


def test_of_the_tool_only_windows_and_copies_know_each_other() -> None:
    """A copy ends with its window's call, and a window with a copy in it ends that."""
    found = c_imports()
    assert len({i.source for i in found}) > 8
    assert "dm_window" in circle(found)
    both = {("dm_copies", "dm_window"), ("dm_window", "dm_copies")}
    assert both <= {(i.source, i.target) for i in found}
    one_way = [i for i in found if (i.source, i.target) != ("dm_copies", "dm_window")]
    assert circle(one_way) == ()
