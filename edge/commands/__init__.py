"""The subcommands of tigrillo, one file each; thin."""
