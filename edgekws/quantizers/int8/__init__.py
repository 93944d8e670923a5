"""Rounding to INT8, shared by the backends."""
