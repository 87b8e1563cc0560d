"""Which described kernel runs an operator, and which tensors its buffers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diagmem.kernels.cases import Case
from diagmem.kernels.library import Library, NoKernel
from diagmem.kernels.model import Kernel
from diagmem.kernels.target.kernel import for_target, why_too_large
from diagmem.model.elements import ModelOperator
from diagmem.model.graph import Model
from diagmem.model.layers import LayerOf, NoRule, layer_of
from diagmem.trace.model import Role

NO_KERNEL = "no kernel"
"""What is said beside the formula's D where none was measured; why is in the notes."""
_FILTERS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
"""Where the filter is among an operator's inputs."""


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
    kernel = library.kernel(found.layer)
    if isinstance(kernel, NoKernel):
        return f"{NO_KERNEL}: {kernel.reason}"
    reason = _unlike_filter(model, operator, kernel)
    if target and not reason:
        kernel = for_target(kernel, target)
        reason = why_too_large(target, Case(kernel))
    return f"{NO_KERNEL}: {reason}" if reason else Chosen(kernel, found)


def _unlike_filter(model: Model, operator: ModelOperator, kernel: Kernel) -> str:
    """Why the kernel's filter is none for the operator's: runtimes have another kernel for
    4-bit weights, say.  Layers know nothing of filters but their sizes."""
    weights = kernel.with_role(Role.WEIGHTS)
    position = _FILTERS.get(operator.name)
    if position is None or not weights or position >= len(operator.inputs):
        return ""
    here = model.tensors[operator.inputs[position]].dtype
    if here == weights[0].dtype.name:
        return ""
    return f"{kernel.name} takes {weights[0].dtype.name} as {weights[0].name}, here it is {here}"
