"""A library of described kernels: which of them computes a layer.

A description is found by its ``operator``.  The layer's sizes and attributes go into
those of its parameters that have the names of the bundled descriptions (``in_h``,
``stride_w``, ``out_c``, ...); what it does not name it cannot be told, so there the layer
has to be an ordinary one.  Its inputs and outputs must then be the layer's, in number,
order, type and size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.kernels.catalog import LIBRARIES
from diagmem.kernels.description import NotMeantError, load, with_parameters
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.parameters import SETTINGS
from diagmem.kernels.reference import reference_kernel, words_of
from diagmem.kernels.toml_tables import read_toml
from diagmem.ops.layer import Layer, Tensor
from diagmem.trace.window import Role

REFERENCE_KERNELS = "c"
"""Of `LIBRARIES` the one whose kernels are chosen by the layer itself."""
_ORDINARY = MappingProxyType(
    {
        **dict.fromkeys(("batches", "stride_h", "stride_w", "dilation_h", "dilation_w"), "1"),
        **dict.fromkeys(("multiplier",), "1"),
        **dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), "0"),
        **dict.fromkeys(("align_corners", "half_pixel_centers", "adj_x", "adj_y"), "0"),
        **{f"{letter}{i}": "1" for letter in "ab" for i in range(4)},
        **{f"{name}{i}": "0" for name in ("before", "after", "begin") for i in range(4)},
    }
)
"""What a layer's word has to be where a description has no such parameter."""
_VALUES_ONLY = frozenset({"scale", "real_scale", "input_scale", "activation_low"}) | {
    "activation_high",
    # These are looked at by themselves.
    "operator",
    "dtype",
    "output_dtype",
    "filter_offset",
}
"""Words that change what is computed, not which bytes it takes."""


@dataclass(frozen=True, slots=True)
class NoKernel:
    """Why no described kernel computes a layer."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Described:
    path: Path
    operator: str
    parameters: frozenset[str]
    when: str


class Library:
    """The descriptions of a folder.

    Parameters
    ----------
    place : a folder with ``*.toml``, one such file, or a name of `LIBRARIES`.
    words : parameters for all of them that have such, ``flags`` and ``compiler``, too;
        none that a layer has the say of.

    Raises
    ------
    DiagmemError
        No description is there, one cannot be read, or none has such a parameter.
    """

    def __init__(self, place: str, words: Mapping[str, str] = MappingProxyType({})) -> None:
        self.name = place if place in LIBRARIES else Path(place).name
        self.place = place
        self._words = words
        self._bundled = place == REFERENCE_KERNELS
        folder = LIBRARIES.get(place, Path(place))
        try:
            files = [folder] if folder.is_file() else sorted(folder.glob("*.toml")) if place else []
        except (OSError, ValueError) as error:  # a name that cannot be one
            raise DiagmemError(f"{place}: cannot be read as a folder: {error}") from None
        self._described = [entry for path in files if (entry := _described(path)) is not None]
        if not self._described:
            there = "an empty name" if not place else _contents(folder, files)
            raise DiagmemError(
                f"{place or '--kernels'}: {there}, expected a folder of kernel descriptions with an"
                f' "operator", or {" or ".join(LIBRARIES)}'
            )
        for word in words:
            known = not self._bundled and any(word in d.parameters for d in self._described)
            if word not in SETTINGS and not known:
                raise DiagmemError(f"{word}=: no description in {place} has such a parameter")
            if word == "function" and place in LIBRARIES:
                raise DiagmemError(
                    f"function={words[word]}: for a network the runtime picks it; diagmem prove and"
                    " trace take it"
                )
        for entry in self._described:
            self._try(entry, {})

    @property
    def recorded(self) -> dict[str, Any]:
        """How to open it again, from any folder."""
        here = self.place in LIBRARIES
        words = {k: os.path.abspath(v) if os.path.isdir(v) else v for k, v in self._words.items()}
        place = self.place if here else os.path.abspath(self.place)
        return {"kernels": place, "parameters": words}

    def kernel(
        self,
        layer: Layer,
        facts: Mapping[str, str] = MappingProxyType({}),
        *,
        refused: Callable[[Kernel], str] = lambda kernel: "",
    ) -> Kernel | NoKernel:
        """The first description, by name, that computes the layer.

        Parameters
        ----------
        facts : what else a runtime picks a kernel by (`diagmem.tflite.facts`, and the
            ``target``), for descriptions that have such parameters.
        refused : why a kernel that fits is not to be had, or empty.

        Raises
        ------
        DiagmemError
            A word of the command line is the layer's to say.
        """
        try:
            words = words_of(layer)
            if self._bundled:
                kernel = reference_kernel(layer)
                kernel = with_parameters(kernel, **self._words) if self._words else kernel
                return _of_such_weights(kernel, facts)
        except DiagmemError as error:
            return NoKernel(str(error))
        facts = {**_ranks(layer), **facts}
        for word in self._words.keys() & ((words.keys() | facts.keys()) - _VALUES_ONLY):
            raise DiagmemError(
                f"{word}={self._words[word]}: is for each layer to say, here {layer.operator}"
            )
        candidates = [entry for entry in self._described if entry.operator in (layer.operator, "*")]
        if not candidates:
            return NoKernel(f"{self.name} has no {layer.operator}")
        reasons = []
        for entry in candidates:
            fitting = self._fitting(entry, layer, words, facts)
            if isinstance(fitting, Kernel):
                why = refused(fitting)
                if not why:
                    return fitting
                fitting = NoKernel(f"{entry.path.name} {why}")
            reasons.append(fitting.reason)
        return NoKernel("; ".join(reasons))

    def _fitting(
        self, entry: _Described, layer: Layer, words: Mapping[str, str], facts: Mapping[str, str]
    ) -> Kernel | NoKernel:
        name = entry.path.name
        for word, value in words.items():
            if word in entry.parameters or word in _VALUES_ONLY or _ORDINARY.get(word) == value:
                continue
            return NoKernel(f"{name} has no parameter {word}, which is {value} here")
        try:
            values = {**facts, **words}
            kernel = self._try(entry, {k: v for k, v in values.items() if k in entry.parameters})
        except DiagmemError as error:
            return NoKernel(str(error))
        if kernel is None:
            return NoKernel(f"{name} is for layers where {entry.when}")
        if kernel.operator != layer.operator:
            return NoKernel(f"{name} is for {kernel.operator or 'no operator'}")
        for role, buffers, tensors in (
            (Role.INPUT, kernel.inputs, layer.inputs),
            (Role.OUTPUT, kernel.outputs, layer.outputs),
        ):
            operands = [(b.dtype.name, b.elements) for b in buffers]
            if operands != _kinds(tensors):
                return NoKernel(
                    f"{name} has {role}s {_listed(operands)}, the layer {_listed(_kinds(tensors))}"
                )
        return _of_such_weights(kernel, facts)

    def _try(self, entry: _Described, words: Mapping[str, str]) -> Kernel | None:
        given = {
            word: value
            for word, value in self._words.items()
            if word in SETTINGS or word in entry.parameters
        }
        try:
            return load(entry.path, {**words, **given})
        except NotMeantError:
            return None


def _contents(folder: Path, files: Sequence[Path]) -> str:
    if not folder.exists():
        return "no such folder"
    if not files:
        return "holds no .toml file"
    return f'{len(files)} without an "operator"'


def _described(path: Path) -> _Described | None:
    """What a description is for; None where it names no operator."""
    items = read_toml(path)
    if "operator" not in items:
        return None
    parameters, operator = items.get("parameters", {}), items["operator"]
    if not isinstance(parameters, dict) or not isinstance(operator, str):
        load(path)  # says what is wrong
        return None
    return _Described(
        path, "*" if "{" in operator else operator, frozenset(parameters), str(items.get("when"))
    )


def _ranks(layer: Layer) -> dict[str, str]:
    """Those facts that a layer knows, too."""
    tensors = {"input_rank": layer.inputs[0], "output_rank": layer.outputs[0]}
    return {word: str(len(tensor.shape)) for word, tensor in tensors.items()}


def _of_such_weights(kernel: Kernel, facts: Mapping[str, str]) -> Kernel | NoKernel:
    """The kernel, unless its filter is of another type: runtimes have another kernel for
    4-bit weights, say."""
    weights, here = kernel.with_role(Role.WEIGHTS), facts.get("weights_dtype")
    if here is None or not weights or here == weights[0].dtype.name:
        return kernel
    name = weights[0].name
    return NoKernel(f"{kernel.name} takes {weights[0].dtype.name} as {name}, here it is {here}")


def _kinds(tensors: Sequence[Tensor]) -> list[tuple[str, int]]:
    return [(tensor.dtype, tensor.elements) for tensor in tensors]


def _listed(tensors: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{elements} x {dtype}" for dtype, elements in tensors)
