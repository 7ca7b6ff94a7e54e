"""*Alerts*: what was sent to whom and what became of it, who is on call, and the rules with their editor."""
