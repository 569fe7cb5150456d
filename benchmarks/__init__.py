"""Benchmarks behind the numbers in the README: `make bench`."""
