"""A set of compiled kernels that layers can be traced and run on: what it can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from diagmem.analysis.overlap import Overlap
from diagmem.analysis.safe import Placement
from diagmem.ops.layer import Layer

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LayerRun:
    """One call of a layer on seeded inputs, apart or with one pair overlapped."""

    layer: Layer
    seed: int
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class LayerOutcome:
    """What a run left behind: uint8 bytes by tensor, all but an overlapped input.

    ``stopped`` says why there are none: refused, crashed; empty where it ran.
    """

    tensors: Mapping[str, UInt8Array]
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """The overlaps of a layer, one for each input with each output; none where
    ``stopped`` says that it could not be traced."""

    pairs: tuple[Overlap, ...]
    stopped: str = ""


class KernelSet(Protocol):
    """Kernels of one origin."""

    @property
    def name(self) -> str: ...

    def order(self, layer: Layer) -> str:
        """The loop order whose nest this set's kernel has."""
        ...

    def why_none(self, layer: Layer) -> str:
        """Why it has no kernel for the layer; empty where it has."""
        ...

    def run(self, runs: Sequence[LayerRun]) -> list[LayerOutcome]:
        """All runs, natively, whatever becomes of each."""
        ...

    def trace(self, layers: Sequence[Layer], seed: int) -> list[Traced]:
        """Each layer under the tool, apart, in as few processes as can be."""
        ...
