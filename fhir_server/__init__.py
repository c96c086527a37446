"""A FHIR R4 server on MongoDB: ARCHITECTURE.md says which room is for what."""
