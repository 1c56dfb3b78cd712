"""What the library promises, shown with real servers and real clients."""
