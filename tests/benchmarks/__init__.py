"""Tests of the benchmarks: that they run, and that they notice what goes wrong; never of times."""
