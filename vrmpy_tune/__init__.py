"""Tensorize, tune and compile int8 kernels for the vrmpy instructions of Hexagon HVX."""
