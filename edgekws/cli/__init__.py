"""The command line."""

from edgekws.cli.app import main

__all__ = ["main"]
