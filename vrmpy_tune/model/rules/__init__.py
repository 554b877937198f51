"""From float operators between dequantized and quantized tensors to integer kernels.

A rule takes an operator's step and how its result is to be quantized, and writes the kernel.
"""
