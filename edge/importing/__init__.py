"""Reading what other programs found into the record: one module a format; see table.py."""
