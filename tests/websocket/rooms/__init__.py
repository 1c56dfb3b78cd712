"""Tests of rooms and topics through the application, in virtual time."""
