"""
Patches: a resource and what to change in it become a new resource. Nothing is stored or
validated here, and what comes in is never changed.

* `json_patch`      RFC 6902
  * `pointer.py`    where a JSON Pointer leads
* `fhirpath_patch`  FHIR's own, a Parameters resource
  * `path.py`       the part of FHIRPath that leads to places
  * `places.py`     where in the JSON that is
  * `given.py`      a parameter's value as a JSON member
  * `repeated.py`   repeating elements: values and what stands beside them
* `xml_patch`       RFC 5261, over the XML form
  * `xml_selector.py`   the part of XPath that leads to one node
* `require_identity_kept`   what none of them may change; the caller asks after each
* `without_stale_narrative` what none of them may leave; the caller asks after each
* `draft.py`        a resource while it is changed
* `faults.py`       what can be wrong with one operation

All raise Invalid (400) for a patch that is not written as its format says, and Unprocessable
(422) for one that does not fit the resource.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from fhir_server.r4.patch.fhirpath_patch import fhirpath_patch
from fhir_server.r4.patch.identity import require_identity_kept
from fhir_server.r4.patch.json_patch import json_patch
from fhir_server.r4.patch.narrative import without_stale_narrative
from fhir_server.r4.patch.xml_patch import xml_patch

__all__ = [
    "fhirpath_patch",
    "json_patch",
    "require_identity_kept",
    "without_stale_narrative",
    "xml_patch",
]
