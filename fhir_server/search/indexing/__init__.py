"""What is kept of a resource so that searches find it."""
