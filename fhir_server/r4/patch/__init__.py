"""
Patches: a resource and what to change in it become a new resource. Nothing is stored or
validated here, and what comes in is never changed.

* `json_patch`      RFC 6902
* `require_identity_kept`   what none of them may change; the caller asks after each

All raise Invalid (400) for a patch that is not written as its format says, and Unprocessable
(422) for one that does not fit the resource.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from fhir_server.r4.patch.identity import require_identity_kept
from fhir_server.r4.patch.json_patch import json_patch

__all__ = ["json_patch", "require_identity_kept"]
