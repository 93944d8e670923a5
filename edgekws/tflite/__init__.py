"""From the INT8 graph that onnxruntime runs to a TFLite model with the same weights and scales."""
