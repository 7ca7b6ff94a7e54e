"""Faults of network, disk, clock, frames and people against the real agent, broker and daemon, with their figures."""
