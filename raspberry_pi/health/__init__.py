"""How the trap is: battery, supply, temperature, disk, and what else it can tell of itself."""
