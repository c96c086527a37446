"""What an operator can call: one file for each command of fhir-server."""
