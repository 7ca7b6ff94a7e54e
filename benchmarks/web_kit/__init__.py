"""The parts of benchmarks/web.py: a seeded house, its processes, who visits it."""
