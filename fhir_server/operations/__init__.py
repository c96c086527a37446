"""
Operations: one file for each, and the table of those that this server has.

An operation is asked for as `$name` of the server, a type or a resource. What it does to data it
does through the pipeline (pipeline/operating.py), like any interaction.

https://hl7.org/fhir/R4/operations.html
"""

from fhir_server.operations.registered import OPERATIONS, Level, Registered

__all__ = ["OPERATIONS", "Level", "Registered"]
