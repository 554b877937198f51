"""Models to try and test with: made, quantized and cached on this machine.

Their makers need the extra ``zoo``: onnxruntime quantizes, scikit-image has the pictures, and
another package the weights of MobileNetV2.
"""

from vrmpy_tune.model.zoo.models import (
    ZOO,
    ZooModel,
    mobilenet_v2,
    resnet26,
    resnet50,
    small_residual,
)

__all__ = ["ZOO", "ZooModel", "mobilenet_v2", "resnet26", "resnet50", "small_residual"]
