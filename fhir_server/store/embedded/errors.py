"""
Why something cannot start, in one line for the operator.

* CannotStart
  x FolderInUse      another process works on the data folder; its pid is named
  x MongodMissing    no mongod for this platform; `--mongodb-url` is named

These are not refusals of a request (fhir_server.r4.errors): no client is there yet. The command
prints the message and exits with a code other than 0.
"""

from __future__ import annotations


class CannotStart(Exception):
    """Something that the server needs is not there; the message is one line and says what to do."""


class FolderInUse(CannotStart):
    """Another process works on this data folder."""


class MongodMissing(CannotStart):
    """There is no mongod to run."""
