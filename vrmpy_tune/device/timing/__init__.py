"""Estimated time: traces of kernels, a model of the processor and its memory, its calibration."""
