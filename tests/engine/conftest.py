"""The data set of tones, and networks that are one matrix."""

from tests.tones import linear, loaded, tones

__all__ = ["linear", "loaded", "tones"]
