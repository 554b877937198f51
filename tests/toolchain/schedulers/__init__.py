"""Stand-ins for the packet scheduler's process."""
