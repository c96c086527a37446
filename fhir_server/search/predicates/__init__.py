"""What a search means: what is kept of a resource, a tree of conditions, and whether it meets them."""
