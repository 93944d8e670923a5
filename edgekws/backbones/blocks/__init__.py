"""Layers and fields that several families of networks share."""
