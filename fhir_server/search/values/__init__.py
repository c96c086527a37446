"""One file per parameter type: what it finds in a resource, and what a query value means."""
