"""The last word: kernels traced apart, run truly overlapped, and their bits compared."""
