"""Who may see what in which clinical context, and what is taken out for whom."""
