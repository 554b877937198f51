"""How the layers of a quantized network are written as workloads.

Activations are u8, weights i8 with a scale for each output channel, and every layer
requantizes to u8 behind its accumulators.
"""

from __future__ import annotations

from vrmpy_tune.workload import Conv2d, Dense


def convolution(
    size: int,
    channels: tuple[int, int],
    kernel: int = 1,
    stride: int = 1,
    *,
    act: str = "none",
    residual: bool = False,
) -> str:
    """Return a convolution over a square input; its padding keeps ``size / stride``.

    Parameters
    ----------
    size, channels:
        Height and width of the input, and its and the output's channels.
    act, residual:
        Activation, and whether a tensor is added, behind the requantization.
    """
    pad = (kernel - 1) // 2
    return str(
        Conv2d(
            n=1, h=size, w=size, ci=channels[0], co=channels[1], kh=kernel, kw=kernel,
            stride=(stride, stride), pad=(pad,) * 4, lhs="u8", rhs="i8",
            out="u8", bias=1, requant="channel", act=act, residual=int(residual),
        )
    )  # fmt: skip


def depthwise(size: int, channels: int, kernel: int, stride: int, *, act: str) -> str:
    """Return a depthwise convolution over a square input."""
    pad = (kernel - 1) // 2
    return (
        f"depthwise_conv2d:n=1,h={size},w={size},c={channels},kh={kernel},kw={kernel},"
        f"stride={stride},pad={pad},lhs=u8,rhs=i8,out=u8,bias=1,requant=channel,act={act}"
    )


def classifier(features: int, classes: int) -> str:
    """Return the dense layer behind the global average pooling."""
    return str(
        Dense(m=1, n=classes, k=features, lhs="u8", rhs="i8", out="u8", bias=1, requant="channel")
    )


def max_pool(size: int, channels: int, kernel: int, stride: int) -> str:
    """Return a max pooling over a square input."""
    return (
        f"max_pool2d:n=1,h={size},w={size},c={channels},kh={kernel},kw={kernel},"
        f"stride={stride},pad={(kernel - 1) // 2},dtype=u8"
    )


def global_average(size: int, channels: int) -> str:
    """Return the pooling that leaves one pixel."""
    return f"global_avg_pool2d:n=1,h={size},w={size},c={channels},dtype=u8"


def residual_add(size: int, channels: int) -> str:
    """Return the addition of two quantized tensors."""
    return f"add:shape=1x{size}x{size}x{channels},lhs=u8,rhs=u8,out=u8"


def pad(size: int, channels: int, border: int) -> str:
    """Return the padding of a tensor with ``border`` pixels all round."""
    return f"pad:n=1,h={size},w={size},c={channels},pad={border},dtype=u8"
