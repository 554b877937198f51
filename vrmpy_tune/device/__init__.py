"""Devices that run kernels: the protocol, and the embedded simulator."""
