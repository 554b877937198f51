"""Models to try and test with: made, quantized and cached on this machine.

Their makers need the extra ``zoo``: onnxruntime quantizes, scikit-image has the pictures, and
another package the weights of MobileNetV2.
"""

from vrmpy_tune.model.zoo.models import ZOO, mobilenet_v2, resnet50, small_residual

__all__ = ["ZOO", "mobilenet_v2", "resnet50", "small_residual"]
