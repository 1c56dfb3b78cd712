"""Tests of the client, against a scripted server on a real socket."""
