"""Layers and fields shared by several families of networks."""
