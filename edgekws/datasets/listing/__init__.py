"""Listing and splitting clips: what the sources of a dataset share."""
