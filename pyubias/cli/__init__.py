"""The command line."""

from pyubias.cli.app import main

__all__ = ["main"]
