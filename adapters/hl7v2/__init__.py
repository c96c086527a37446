"""HL7 v2 over MLLP: from the bytes on the socket to a transaction Bundle, and back to an answer."""
