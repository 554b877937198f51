"""Whole networks: from a quantized ONNX file to one program for the device."""
