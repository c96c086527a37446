"""
What can be wrong with an operation of a patch, until it is known which operation it was.

They do not leave this package: `json_patch` and `fhirpath_patch` make refusals of them that
name the operation.
"""

from __future__ import annotations


class Misstated(ValueError):
    """It is not written as the patch format says: Invalid, whatever the resource is."""


class Misfit(ValueError):
    """It cannot be done to this resource: Unprocessable."""
