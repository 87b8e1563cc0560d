"""Which described kernel runs an operator, and which tensors its buffers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from diagmem.kernels.cases import Case
from diagmem.kernels.cortex_m.on_target import TARGET, for_target, why_too_large
from diagmem.kernels.kernel import BufferSpec, Kernel
from diagmem.kernels.library import Library, NoKernel
from diagmem.networks.in_place import destroys
from diagmem.ops.layer import Tensor
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.facts import facts_of
from diagmem.tflite.graph import Model
from diagmem.tflite.layers import LayerOf, NoRule, layer_of
from diagmem.trace.window import Role

NO_KERNEL = "no kernel"
"""What is said beside the formula's D where none was measured; why is in the notes."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A kernel of a library, for the layer that an operator is."""

    kernel: Kernel
    mapped: LayerOf

    @property
    def tensors(self) -> Mapping[str, int]:
        """The tensors by the names of the buffers that they are, constants not among them;
        of a buffer that is input and output its output."""
        return {**self.inputs, **self.outputs}

    @property
    def inputs(self) -> Mapping[str, int]:
        """Those that the operator is given."""
        return self._named(self.kernel.inputs, self.mapped.layer.inputs)

    @property
    def outputs(self) -> Mapping[str, int]:
        """Those that it makes."""
        return self._named(self.kernel.outputs, self.mapped.layer.outputs)

    def _named(
        self, buffers: Sequence[BufferSpec], operands: Sequence[Tensor]
    ) -> Mapping[str, int]:
        tensors = self.mapped.tensors
        return {
            buffer.name: tensors[operand.name]
            for buffer, operand in zip(buffers, operands, strict=True)
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
    mapped = layer_of(model, operator)
    if isinstance(mapped, NoRule):
        return mapped.reason

    def refused(kernel: Kernel) -> str:
        return _destroys(model, operator, Chosen(kernel, mapped))

    facts = {**facts_of(model, operator), TARGET: target}
    kernel = library.kernel(mapped.layer, facts, refused=refused)
    if isinstance(kernel, NoKernel):
        return f"{NO_KERNEL}: {kernel.reason}"
    if not target:
        return Chosen(kernel, mapped)
    kernel = for_target(kernel, target)
    reason = why_too_large(target, Case(kernel))
    return f"{NO_KERNEL}: {reason}" if reason else Chosen(kernel, mapped)


def _destroys(model: Model, operator: ModelOperator, chosen: Chosen) -> str:
    """Why a kernel that works in place is none for the operator; empty where it is."""
    for buffer in chosen.kernel.with_role(Role.INOUT):
        if buffer.name not in chosen.inputs or buffer.name not in chosen.outputs:
            return f"works in place: {buffer.name} is a constant here"
        why = destroys(model, operator, chosen.inputs[buffer.name], chosen.outputs[buffer.name])
        if why:
            return f"works in place and would destroy its input: {why}"
    return ""
