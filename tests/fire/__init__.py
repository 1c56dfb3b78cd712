"""Rooms and topics under fire: crashes, cancellations and slow readers, all at once."""
