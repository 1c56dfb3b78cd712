"""Tests of the examples: each is served, and driven by a real client."""
