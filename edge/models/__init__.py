"""Model cards, the catalogue, conversion and decoding."""
