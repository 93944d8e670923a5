"""Rounding to INT8: what the backends share."""
