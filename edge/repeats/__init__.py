"""The same thing at the same place day after day: a stone, a branch, a post."""
