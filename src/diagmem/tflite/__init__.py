"""Models: ``.tflite`` files in and out, and what a planner needs to know of them."""

from diagmem.tflite.elements import ABSENT, ModelOperator, ModelTensor
from diagmem.tflite.graph import Lifetime, Model, lifetimes, read_model

__all__ = [
    "ABSENT",
    "Lifetime",
    "Model",
    "ModelOperator",
    "ModelTensor",
    "lifetimes",
    "read_model",
]
