"""Whole networks: from a quantized ONNX or TFLite file to one program for the device."""
