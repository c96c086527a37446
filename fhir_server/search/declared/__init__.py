"""Which search parameters there are: R4's own and those that were posted."""
