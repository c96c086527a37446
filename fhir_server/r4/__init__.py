"""FHIR R4 itself: data and rules without I/O. Everybody imports it; it imports nothing of ours."""
