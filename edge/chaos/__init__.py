"""`tigrillo chaos`: agents, a broker and a server that are killed all the time, and what must be true afterwards."""
