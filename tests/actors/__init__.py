"""Tests of the ready-made actors, through their public face."""
