"""Built-in plugins; each file is one plugin and imports edge.api and libraries only."""
