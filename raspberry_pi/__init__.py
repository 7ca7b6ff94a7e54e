"""The agent on the Raspberry Pi; imports edge.wire and the standard library, paho and PyYAML only."""
