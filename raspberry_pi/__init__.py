"""The agent on the Raspberry Pi; imports a few bare files of edge, the standard library, paho and PyYAML only."""
