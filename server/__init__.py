"""The web page and API (built by a later issue); reads the store."""
