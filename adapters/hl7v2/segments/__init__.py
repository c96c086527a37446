"""One file per segment: its fields as FHIR elements, as HL7's own mapping tables read."""
