"""Passes over integer modules, in the order in which they are applied."""
