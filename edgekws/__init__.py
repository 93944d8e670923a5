"""Turns a recipe into a keyword spotter that fits an edge device, and proves that it fits."""

__version__ = "0.1.0"
