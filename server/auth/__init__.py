"""People: who asks, logging in and out, accounts, invitations, the first run."""
