"""A bundle as a Wyoming wake-word server."""
