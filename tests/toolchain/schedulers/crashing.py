"""A packet scheduler with a fault of its own."""

from __future__ import annotations

if __name__ == "__main__":
    {}["a register that was never given"]
