"""What a report is made of: each file recognised by what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.report.check_section import results_section
from diagmem.report.kernel_section import kernel_section
from diagmem.report.network_section import network_section

Entries = Mapping[str, Any]
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
) -> list[JsonObject]:
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
    by_graph = {_graph_of(data): (path, data) for path, data in _loaded(overlaps)}
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
    for graph, (path, _) in by_graph.items():
        if graph not in used:
            raise DiagmemError(f"{path}: was measured on another graph than the models given")
    return sections


def _loaded(overlaps: Sequence[Path]) -> Iterator[tuple[Path, Entries]]:
    if overlaps:
        from diagmem.networks.measured import load_overlaps

        yield from ((path, load_overlaps(path)) for path in overlaps)


def _graph_of(data: Entries) -> str:
    """The graph that overlaps were measured on; what else they lack is told with a model."""
    model = data.get("model")
    return str(model.get("graph_sha256")) if isinstance(model, dict) else ""


def _trace(path: Path, windows: Sequence[int], characters: int) -> JsonObject:
    from diagmem.analysis.trace import open_trace
    from diagmem.base.progress import Progress

    with open_trace(path) as trace:
        progress = Progress(f"reading {path.name}")
        trace.report_progress(progress.advance)
        section = kernel_section(trace, windows=windows, characters_at_most=characters)
        progress.done()
    return section


def _model(
    path: Path, by_graph: Mapping[str, tuple[Path, Entries]], board_bytes: int | None
) -> tuple[JsonObject, str]:
    from diagmem.networks.measured import identity, overlaps_of
    from diagmem.tflite.graph import read_model

    model = read_model(path)
    graph = str(identity(model)["graph_sha256"])
    source, data = by_graph.get(graph, (path, None))
    measured = overlaps_of(data, source, model) if data is not None else None
    return network_section(model, measured, board_bytes=board_bytes), graph
