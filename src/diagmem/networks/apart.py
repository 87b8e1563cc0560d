"""The plan that a network is measured under: nothing overlaps, but for aliases.

RESHAPE and SQUEEZE put out the bytes they got.  TFLM's kernels leave them alone where
input and output are one place, and copy them otherwise, by a memcpy that promises no
order.  So here such an output *is* its input, and the trace shows whether the kernel
leaves it alone: then displacement 0 is safe, and nothing is said of any other.
"""

from __future__ import annotations

from pathlib import Path

from diagmem.arena.baseline import tflm_greedy
from diagmem.arena.problem import Options
from diagmem.arena.together import joined, roots_of
from diagmem.networks.permissions import problem_of
from diagmem.tflite.graph import PLANNED_ONLINE, Model, lifetimes, read_model
from diagmem.tflite.write import write_planned

ALIASING = ("RESHAPE", "SQUEEZE")


def aliases(model: Model) -> dict[int, int]:
    """Outputs that can be their inputs, by tensor number: those that die there."""
    end = {life.tensor: life.end for life in lifetimes(model)}
    sizes = {tensor.index: tensor.size_bytes for tensor in model.activations}
    targets = {}
    for operator in model.operators:
        if operator.name not in ALIASING or not (operator.inputs and operator.outputs):
            continue
        source, target = operator.inputs[0], operator.outputs[0]
        dies = end.get(source) == operator.index + 1 and source not in model.outputs
        if dies and source != target and sizes[source] == sizes.get(target, 0) > 0:
            targets[target] = source
    return targets


def _offsets(model: Model) -> dict[int, int]:
    """The offset of each tensor of the arena, in bytes."""
    roots = roots_of((source, target) for target, source in aliases(model).items())
    placed = tflm_greedy(joined(problem_of(model), roots), Options()).offsets
    return {t.index: placed[roots.get(t.index, t.index)] for t in model.activations}


def model_apart(model: Model, directory: Path) -> Model:
    """The model with that plan, in a file of the folder: every tensor's place is known."""
    offsets = _offsets(model)
    path = directory / "apart.tflite"
    write_planned(model, [offsets.get(t.index, PLANNED_ONLINE) for t in model.tensors], path)
    return read_model(path)
