"""``docs/design.md``: its layers are those of the code, and every arrow goes one way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "diagmem"
CORE = ROOT / "valgrind-tool" / "core"


@dataclass(frozen=True, slots=True)
class Layer:
    """A line of the table: its modules, the first one its name; the layers it uses."""

    modules: tuple[str, ...]
    uses: frozenset[str]

    @property
    def name(self) -> str:
        return self.modules[0]


def layers(page: str) -> list[Layer]:
    """The table, the lowest layer first; everyone may use that one, and no line says so."""
    section = page.split("\n## Layers\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return [Layer(tuple(names(modules)), frozenset(names(uses))) for modules, _, uses in rows]


def names(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


def layer_of(module: str, table: list[Layer]) -> str | None:
    """Of a module without ``diagmem.``: the layer that names it, or its package, closest."""
    homes = {name: layer.name for layer in table for name in layer.modules}
    parts = module.split(".")
    fronts = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((homes[front] for front in fronts if front in homes), None)


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, wherever in it; ``diagmem`` itself, which
    has the version, is none."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in found:
            if name.startswith("diagmem.") and exists(name.split(".")[1]):
                yield name.removeprefix("diagmem.")


def exists(module: str) -> bool:
    return (PACKAGE / module).is_dir() or (PACKAGE / f"{module}.py").is_file()


def arrows(table: list[Layer]) -> dict[tuple[str, str], str]:
    """From which layer to which one there is an import, and one that is."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        if module == "__init__":
            continue  # offers names of all layers, and imports each when it is first used
        source = layer_of(module, table)
        assert source is not None, f"docs/design.md: no layer has {module}"
        for other in imports(path):
            target = layer_of(other, table)
            assert target is not None, f"docs/design.md: no layer has {other}"
            found[source, target] = f"{module} imports {other}"
    return found


def back(found: Mapping[tuple[str, str], str], table: list[Layer]) -> list[str]:
    """The imports of a layer that stands higher."""
    order = [layer.name for layer in table]
    return [why for (a, b), why in found.items() if order.index(a) < order.index(b)]


@pytest.fixture(scope="module")
def table() -> list[Layer]:
    return layers((ROOT / "docs" / "design.md").read_text(encoding="utf-8"))


def test_no_arrow_goes_back(table: list[Layer]) -> None:
    assert len(table) > 10
    assert back(arrows(table), table) == []


def test_the_table_names_every_arrow(table: list[Layer]) -> None:
    lowest = table[0].name
    seen = arrows(table)
    for layer in table:
        used = {b for a, b in seen if a == layer.name and b not in (layer.name, lowest)}
        assert used == layer.uses, layer.name


def test_an_arrow_back_is_seen(table: list[Layer]) -> None:
    backwards = {("liveness", "overlap"): "liveness imports overlap"}
    assert back(backwards, table) == ["liveness imports overlap"]


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
