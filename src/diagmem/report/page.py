"""The page: data, style and script in one file that needs nothing else."""

from __future__ import annotations

import html
import json
import platform
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from diagmem import __version__
from diagmem.base.files import JsonObject, replacing

SCRIPTS = ("base.js", "table.js", "chart.js", "heatmap.js", "kernel.js", "network.js", "main.js")
"""In this order they are one module."""


def page(title: str, command: str, sections: Sequence[JsonObject]) -> str:
    """The page as text.

    Parameters
    ----------
    command : how it was made, as a shell takes it.
    """
    data = {
        "title": title,
        "made": [["command", command], ["made by", _versions()]],
        "sections": list(sections),
    }
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        style=_asset("page.css"),
        data=embedded(data),
        script="\n".join(_asset(name) for name in SCRIPTS),
    )


def embedded(data: object) -> str:
    """JSON that may stand in a script element, whatever names are in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def write_page(text: str, path: Path) -> int:
    """Write the page, an older one of that name is replaced at the end; its bytes."""
    raw = text.encode("utf-8")
    with replacing(path) as file:
        file.write(raw)
    return len(raw)


def _asset(name: str) -> str:
    return files("diagmem.report").joinpath(name).read_text(encoding="utf-8")


def _versions() -> str:
    import numpy as np

    return f"diagmem {__version__}, Python {platform.python_version()}, numpy {np.__version__}"
