"""Stations: who may send. A small certificate authority, one-time tokens, rows, and the broker that asks for them."""
