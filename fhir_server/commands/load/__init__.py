"""
`fhir-server load`, from files to what became of them.

`command.py` is the command; `sources.py` finds and opens files, `contents.py` reads them,
`shipments.py` groups what is in them, `sender.py` sends and repeats, `answers.py` understands what
comes back, `workers.py` does many at once, `journal.py` remembers, `report.py` tells.
"""
