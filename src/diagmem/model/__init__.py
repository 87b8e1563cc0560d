"""Models: ``.tflite`` files in and out, and what a planner needs to know of them."""

from diagmem.model.elements import ABSENT, ModelOperator, ModelTensor
from diagmem.model.graph import Lifetime, Model, lifetimes, read_model

__all__ = [
    "ABSENT",
    "Lifetime",
    "Model",
    "ModelOperator",
    "ModelTensor",
    "lifetimes",
    "read_model",
]
