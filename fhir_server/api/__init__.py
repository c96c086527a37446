"""HTTP: routes, requests, responses, and the pages around them; the home of FastAPI."""
