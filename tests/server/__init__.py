"""Tests of herdwick's own server."""
