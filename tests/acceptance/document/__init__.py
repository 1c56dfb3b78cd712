"""Each code block of the owner's document runs, and does what the page says; a file per chapter."""
