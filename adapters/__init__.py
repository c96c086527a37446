"""Other people's protocols, translated to FHIR. Adapters know FHIR and no server in particular."""
