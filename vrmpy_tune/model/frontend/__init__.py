"""From an ONNX or TFLite file to a Relax module of float operators between quantizations.

The file is checked, and what has several spellings in ONNX is brought to one: QuantizeLinear and
DequantizeLinear round float operators, explicit padding, constants as initializers, and a name of
its own for every node.
"""
