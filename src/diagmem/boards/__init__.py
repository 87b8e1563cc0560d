"""Micro-controllers, and which of them a network fits."""
