"""Stations: who may send. A small certificate authority, one-time tokens, the rows, and the broker that asks for them."""
