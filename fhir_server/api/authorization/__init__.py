"""The authorization server over HTTP: its endpoints, and the pages for people."""
