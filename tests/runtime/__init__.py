"""Tests of the runtime, through its public face."""
