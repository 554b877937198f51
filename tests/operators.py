"""Workloads of the operators around dense and convolution: odd sizes, every type, every path."""

from __future__ import annotations

from typing import Final

DEPTHWISE: Final = (
    # Per channel with everything fused; dilation; large kernels; whole pixels; batch 2.
    "depthwise_conv2d:n=1,h=9,w=8,c=7,kh=3,kw=3,stride=2,pad=1,lhs=u8,rhs=i8,out=i8,bias=1,"
    "requant=channel,act=clip,residual=1,lzp=3,rzp=-7",
    "depthwise_conv2d:n=2,h=9,w=8,c=33,kh=3,kw=2,stride=2x1,pad=1,dilation=2,lhs=i8,rhs=u8,rzp=200",
    "depthwise_conv2d:n=1,h=9,w=8,c=32,kh=5,kw=5,stride=1,pad=2,lhs=i8,rhs=i8,out=u8,"
    "requant=tensor,lzp=-3,rzp=-128",
    "depthwise_conv2d:n=1,h=6,w=7,c=129,kh=3,kw=3,stride=1,pad=0,lhs=u8,rhs=u8,bias=1",
    "depthwise_conv2d:n=1,h=6,w=6,c=128,kh=3,kw=3,stride=1,pad=0,lhs=u8,rhs=i8,out=u8,"
    "requant=channel,act=relu,residual=1",
    "depthwise_conv2d:n=1,h=3,w=31,c=1,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8",
)
ELEMENTWISE: Final = (
    "add:shape=3x7x129,lhs=u8,rhs=i8,out=u8,act=relu",
    "add:shape=33x128,lhs=i8,rhs=u8,out=i8,act=clip",
    "add:shape=1,lhs=u8,rhs=u8,out=u8",
    "multiply:shape=31x129,lhs=u8,rhs=i8,out=u8",
    "multiply:shape=2x2048,lhs=i8,rhs=i8,out=i8,act=relu",
    "clip:shape=2081,dtype=i8",
    "clip:shape=7,dtype=u8",
)
POOLING: Final = (
    # Even and odd pixels in pairs; in place by pixels; staged by phases; flat rows.
    "max_pool2d:n=2,h=9,w=16,c=64,kh=3,kw=3,stride=2,pad=1x1x1x0,dtype=i8",
    "max_pool2d:n=1,h=7,w=16,c=32,kh=2,kw=2,stride=2,pad=0,dtype=u8",
    "max_pool2d:n=1,h=7,w=5,c=256,kh=3,kw=2,stride=2x1,pad=1,dtype=i8",
    "max_pool2d:n=1,h=7,w=9,c=33,kh=3,kw=3,stride=3x2,pad=1,dtype=i8",
    "max_pool2d:n=2,h=3,w=31,c=3,kh=3,kw=3,stride=1,pad=1,dtype=u8",
    "avg_pool2d:n=1,h=9,w=9,c=31,kh=3,kw=3,stride=2,pad=1,dtype=i8,include_pad=0",
    "avg_pool2d:n=2,h=5,w=7,c=129,kh=3,kw=2,stride=1,pad=1,dtype=u8,include_pad=1",
    "avg_pool2d:n=1,h=8,w=8,c=64,kh=2,kw=2,stride=2,pad=0,dtype=u8,include_pad=0",
    "global_avg_pool2d:n=1,h=7,w=7,c=256,dtype=u8",
    "global_avg_pool2d:n=2,h=3,w=1,c=33,dtype=i8",
    "global_avg_pool2d:n=1,h=33,w=31,c=7,dtype=i8",
)
MOVEMENT: Final = (
    # Shifted into place; whole vectors; more edge than input; copied rows.
    "pad:n=2,h=3,w=6,c=64,pad=1,dtype=u8,value=3",
    "pad:n=1,h=3,w=2,c=128,pad=0x1x1x2,dtype=i8,value=-128",
    "pad:n=1,h=2,w=8,c=32,pad=0x3x0x5,dtype=i8,value=-5",
    "pad:n=2,h=3,w=7,c=33,pad=1x0x2x1,dtype=u8,value=255",
    # One pass and two; tiles of 128 rows; rows that are no vectors; elements cut to size.
    "layout:n=2,h=4,w=64,c=16,to=nhwc,dtype=u8",
    "layout:n=1,h=8,w=16,c=256,to=nchw,dtype=i8",
    "layout:n=2,h=3,w=43,c=3,to=nhwc,dtype=i8",
    "layout:n=1,h=3,w=11,c=129,to=nchw,dtype=u8",
    # Whole vectors; parts of odd sizes; a single row.
    "concat:rows=6,parts=128x256,dtype=u8",
    "concat:rows=7,parts=33x1x130,dtype=i8",
    "concat:rows=1,parts=31x129x31x129,dtype=u8",
)
CONVERSION: Final = (
    "quantize:shape=3x33x7,dtype=u8",
    "quantize:shape=129,dtype=i8",
    "dequantize:shape=7x31,dtype=i8",
    "dequantize:shape=3,dtype=u8",
)
WORKLOADS: Final = DEPTHWISE + ELEMENTWISE + POOLING + MOVEMENT + CONVERSION

FEW: Final = tuple(
    sorted(
        {next(one for one in order if one.startswith(f"{name}:"))
         for name in {text.partition(":")[0] for text in WORKLOADS}
         for order in (WORKLOADS, WORKLOADS[::-1])}
    )
)  # fmt: skip
"""The first and the last workload of each operator."""
