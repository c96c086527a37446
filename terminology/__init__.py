"""
What codes mean: code systems, value sets, their hierarchies.

Nothing lives here before the terminology service does. The codes that R4 binds as required are
facts of the specification, and are checked where structure is: fhir_server/r4/validation.
"""
