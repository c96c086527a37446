"""Strategies of Hypothesis: what is thrown at the server."""
