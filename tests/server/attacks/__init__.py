"""What is tried against the authorization server, and is refused: one server for each file, watched."""
