"""Data curation: explore, augment, synth."""
