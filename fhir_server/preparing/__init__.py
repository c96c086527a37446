"""
Bundles are prepared here: small ones where they are asked for, large ones in another process.

preparing.py is the face, pool.py has the processes, process.py is what runs in one, messages.py what
is said between the two. What is done in either place is fhir_server/interactions/submission.py.
docs/processes.md says what runs, docs/performance.md what was measured.
"""
