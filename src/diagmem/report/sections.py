"""What a report is made of: each file recognised by what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from diagmem.base.errors import DiagmemError
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.report.check_section import results_section
from diagmem.report.kernel_section import kernel_section
from diagmem.report.network_section import network_section

Kind = Literal["trace", "model", "results"]
DRAWN_CHARACTERS = 4_200_000
"""For the pictures of all traces together, so that a page stays below 5 MB."""


def kind_of(path: Path) -> Kind:
    """By the file's first bytes.

    Raises
    ------
    DiagmemError
        It cannot be read, or is empty.
    """
    from diagmem.trace.format import MAGIC

    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise DiagmemError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise DiagmemError(f"{path}: is empty, expected a trace, a model or results")
    if head.startswith(MAGIC):
        return "trace"
    shown = (FileType.TRACE, FileType.NETWORK, FileType.RESULTS)
    refuse_other(path, *shown, maybe=[FileType.JSON])
    return "model" if head[4:8] == b"TFL3" else "results"


def sections_of(
    paths: Sequence[Path],
    *,
    overlaps: Sequence[Path] = (),
    windows: Sequence[int] = (),
    board_bytes: int | None = None,
) -> list[dict[str, Any]]:
    """One section for each file, in their order.

    Parameters
    ----------
    overlaps : measured ones; each goes to the models whose graph they were measured on.
    windows : of the traces, which to draw.
    board_bytes : the arena that there is room for.

    Raises
    ------
    DiagmemError
        A file is none that a report can show, or overlaps belong to no model.
    """
    kinds = [kind_of(path) for path in paths]
    by_graph = {_graph_of(path): path for path in overlaps}
    characters = DRAWN_CHARACTERS // max(kinds.count("trace"), 1)
    sections, used = [], set()
    for path, kind in zip(paths, kinds, strict=True):
        match kind:
            case "trace":
                sections.append(_trace(path, windows, characters))
            case "model":
                section, graph = _model(path, by_graph, board_bytes)
                sections.append(section)
                used.add(graph)
            case "results":
                sections.append(results_section(path))
    for graph, path in by_graph.items():
        if graph not in used:
            raise DiagmemError(f"{path}: was measured on another graph than the models given")
    return sections


def _graph_of(path: Path) -> str:
    """The graph that overlaps were measured on; `read_overlaps` checks the rest."""
    refuse_other(path, FileType.OVERLAPS, maybe=[FileType.JSON])
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return str(data["model"]["graph_sha256"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise DiagmemError(f"{path}: cannot be read as overlaps: {error}") from None


def _trace(path: Path, windows: Sequence[int], characters: int) -> dict[str, Any]:
    from diagmem.analysis.trace import open_trace
    from diagmem.base.progress import Progress

    with open_trace(path) as trace:
        progress = Progress(f"reading {path.name}")
        trace.report_progress(progress.advance)
        section = kernel_section(trace, windows=windows, characters_at_most=characters)
        progress.done()
    return section


def _model(
    path: Path, by_graph: Mapping[str, Path], board_bytes: int | None
) -> tuple[dict[str, Any], str]:
    from diagmem.networks.measured import identity, read_overlaps
    from diagmem.tflite.graph import read_model

    model = read_model(path)
    graph = str(identity(model)["graph_sha256"])
    measured = read_overlaps(by_graph[graph], model) if graph in by_graph else None
    return network_section(model, measured, board_bytes=board_bytes), graph
