"""What several tests need; it holds no test of the package."""
