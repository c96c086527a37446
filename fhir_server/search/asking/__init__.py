"""What a request asks for, read into a query or refused."""
