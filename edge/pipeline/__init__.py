"""The way of a frame: spool, claim, stage, record, notify."""
