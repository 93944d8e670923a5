"""Inputs that nobody meant to write, and what every command must keep to when it gets them."""
