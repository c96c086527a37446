"""make bench: the server against the raw driver, in one run on one machine."""
