"""Tigrillo's runtime: everything a frame meets between spool and record."""

__version__ = "0.1.0"
