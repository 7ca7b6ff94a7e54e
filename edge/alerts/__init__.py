"""Which observations are worth a message, and what the message says."""
