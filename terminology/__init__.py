"""
What codes mean: which are in a value set, and which are over or under others.

Pure: `codes.py` has sets of codes and their algebra, `code_system.py` the concepts of one code system,
`filters.py` what an include asks of them, `expansion.py` puts value sets together, `r4.py` has those of
the specification itself. Whoever has the resources hands them in; `service.py` is what a search asks
for, so that another service can answer it instead.

Nothing is approximated: what cannot be told exactly is refused, with the reason.

https://hl7.org/fhir/R4/terminology-module.html
"""
