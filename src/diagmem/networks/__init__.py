"""Whole networks: measured on the kernels that run them, planned, and verified."""
