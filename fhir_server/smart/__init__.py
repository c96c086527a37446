"""SMART on FHIR: tokens, scopes, and who is asking; the home of joserfc."""
