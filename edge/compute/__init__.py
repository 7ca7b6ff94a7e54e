"""Devices and the worker that owns them."""
