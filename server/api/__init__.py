"""What all of the API shares: cursors, ETags, its description, health and metrics. Each area has routes of its own."""
