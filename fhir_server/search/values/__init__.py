"""What a value means, of a resource or of a query: one file per parameter type, and what they share."""
