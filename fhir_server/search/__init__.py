"""What a search means, independent of any database."""
