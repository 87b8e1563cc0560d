"""diagmem: how far a kernel's output may lie over its input, measured."""

from __future__ import annotations

__version__ = "0.1.0"
