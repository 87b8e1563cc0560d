"""Formulas against compiled kernels: random layers, traced and run overlapped."""
