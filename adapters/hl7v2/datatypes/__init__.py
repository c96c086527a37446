"""One file per HL7 v2 data type: from its components to a FHIR data type."""
