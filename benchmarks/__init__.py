"""Where each figure of the README comes from."""
