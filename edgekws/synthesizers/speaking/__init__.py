"""What engines share: espeak-ng's phonemes, seeded noise in ONNX graphs, programs that speak."""
