"""Which described kernel runs an operator, and which tensors its buffers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diagmem.kernels.cases import Case
from diagmem.kernels.library import Library, NoKernel
from diagmem.kernels.model import Kernel
from diagmem.kernels.target.kernel import TARGET, for_target, why_too_large
from diagmem.model.elements import ModelOperator
from diagmem.model.facts import facts_of
from diagmem.model.graph import Model
from diagmem.model.layers import LayerOf, NoRule, layer_of
from diagmem.trace.model import Role

NO_KERNEL = "no kernel"
"""What is said beside the formula's D where none was measured; why is in the notes."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A kernel of a library, for the layer that an operator is."""

    kernel: Kernel
    found: LayerOf

    @property
    def tensors(self) -> Mapping[str, int]:
        """The tensors by the names of the buffers that they are; constants are in it not."""
        layer, tensors = self.found.layer, self.found.tensors
        return {
            buffer.name: tensors[operand.name]
            for role, operands in ((Role.INPUT, layer.inputs), (Role.OUTPUT, layer.outputs))
            for buffer, operand in zip(self.kernel.with_role(role), operands, strict=True)
            if operand.name in tensors
        }


def choose(model: Model, operator: ModelOperator, library: Library, target: str) -> Chosen | str:
    """The kernel that stands for an operator, or why there is none.

    Raises
    ------
    DiagmemError
        The kernel cannot be compiled for the target, or a word of the command line is the
        layer's to say.
    """
    found = layer_of(model, operator)
    if isinstance(found, NoRule):
        return found.reason
    kernel = library.kernel(found.layer, {**facts_of(model, operator), TARGET: target})
    if isinstance(kernel, NoKernel):
        return f"{NO_KERNEL}: {kernel.reason}"
    if not target:
        return Chosen(kernel, found)
    kernel = for_target(kernel, target)
    reason = why_too_large(target, Case(kernel))
    return f"{NO_KERNEL}: {reason}" if reason else Chosen(kernel, found)
