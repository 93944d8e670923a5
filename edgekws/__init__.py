"""Turns a recipe into a keyword spotter that fits an edge device, and proves that it fits."""

import os

# onnxruntime reads this when it is imported. Without it, its wheels keep a device id and a database
# in the user's cache folder and look for a collector of telemetry in the network.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
