"""Proof of what we claim; it asks over HTTP, whatever the server."""
