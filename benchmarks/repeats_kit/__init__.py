"""A made-up year of boxes whose truth is known, for benchmarks/repeats.py and its small twin among the tests."""
