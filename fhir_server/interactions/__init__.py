"""What each interaction reads, writes and answers: one file for each, named as the specification names it."""
