"""Stills and clips, from bytes to pictures."""
