"""Listing and splitting clips, shared by the sources of datasets."""
