"""Whole networks: from a quantized ONNX file to a module of integer kernels."""

from vrmpy_tune.model.load import import_model

__all__ = ["import_model"]
