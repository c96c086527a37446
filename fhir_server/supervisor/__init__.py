"""
The processes of `serve`: one supervisor, N workers, and the embedded mongod.

plan.py says what is to run, supervise.py is the spine, docs/processes.md what is promised.
"""
