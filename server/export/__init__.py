"""Export: data sets in other tools' formats, made in the background by the same code as `tigrillo export`."""
