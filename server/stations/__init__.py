"""Stations: which are heard, which are in trouble and why, where they stand, what their agents say of themselves."""
