"""Benchmarks: one file a question. Each compares two sides in one run, alternating, and writes JSON."""
