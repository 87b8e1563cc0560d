"""Processes in which TFLM runs, natively or under Valgrind, where Python is slow.

They import nothing of diagmem but each other, load TFLM's runtime without the
package around it, and get from their parent all that can be made there.
"""
