"""
Run and release of search and history: what is found within the restriction, page by page.

The restriction is part of the query, so pages are full and totals count what this caller may
see; each version is judged once more before it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from fhir_server.interactions.access import Access
from fhir_server.interactions.answers import Bundled
from fhir_server.interactions.bundles import Links, history_bundle, operation_outcome, searchset
from fhir_server.pipeline.admission import admit, all_types, restriction
from fhir_server.pipeline.trail import Trail
from fhir_server.policy.redaction import redacted
from fhir_server.r4.errors import FhirError, Forbidden, Issue
from fhir_server.r4.interaction import History, Search
from fhir_server.r4.resource import Key
from fhir_server.search.includes import included
from fhir_server.search.matching import matches
from fhir_server.search.predicate import Predicate, all_of
from fhir_server.search.query import HistoryQuery, Query, SearchLimits, parse, parse_history
from fhir_server.search.version import Version
from fhir_server.services import Services
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission
from fhir_server.store.search import Page, Position
