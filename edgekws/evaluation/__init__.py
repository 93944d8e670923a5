"""What users ask of models and bundles: evaluate, compare, check, predict, profile, calibrate."""
