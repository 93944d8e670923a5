"""The delivery formats of a bundle: one file per format."""
