"""From the INT8 graph that onnxruntime runs to portable C that computes the same integers."""
