"""Model heads, turned into boxes or class probabilities."""
