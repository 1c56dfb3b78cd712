"""The tests of herdwick; the folders are those of the package."""
