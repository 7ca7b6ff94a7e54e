"""What a detector and a classifier say together, what lives here, and how far a score can be trusted."""
