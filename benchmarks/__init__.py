"""Measurements behind the figures of the README and the issues: `make bench`."""
