"""One file a family of operators: how each becomes kernel launches."""
