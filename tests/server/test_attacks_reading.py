"""
What is hidden reads as what never was: whoever asks, however.

https://hl7.org/fhir/R4/security.html#AccessDenied
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.server.hiding import CALLERS, SECRET, SYSTEM, Ask, Who, differences, hiding
from tests.server.running import Server

FUTURE = "Fri, 31 Dec 2100 23:59:59 GMT"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for all tests of this file."""
    async with hiding(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


KEYS = """
    Patient/{} Observation/o-{} Observation/m-{} Observation/x-{} Consent/c-{} Provenance/v-{} Group/g-{}
    Binary/b-{} Binary/n-{} Bundle/u-{} Parameters/a-{} GuidanceResponse/r-{} Contract/t-{}
""".split()
READS = [
    *(Ask("GET", key + rest) for key in KEYS for rest in ("", "/_history", "/_history/1", "/_history/2")),
    *(Ask("HEAD", key) for key in KEYS[:4]),
    Ask("GET", "Observation/o-{}", headers={"If-None-Match": 'W/"1"'}),
    Ask("GET", "Observation/o-{}", headers={"If-None-Match": "*"}),
    Ask("GET", "Observation/o-{}", headers={"If-Modified-Since": FUTURE}),
    *(
        Ask("GET", f"Observation/o-{{}}/_history{rest}")
        for rest in ("/x", "?_since=2020", "?_since=2100", "?_at=2100", "?_cursor=WzQsInUiLG51bGxd")
    ),
]


@pytest.mark.parametrize("who", [*CALLERS, SYSTEM], ids=lambda who: who.name)
async def test_what_is_hidden_reads_as_what_never_was(server: Server, who: Who) -> None:
    async with who.client(server) as client:
        found = await differences(client, READS, who.hidden)
    assert not found, "\n".join(found)


SEARCHES = """
    Patient?_id={} Observation?_id=o-{} Observation?_id=o-{},o-p1 Observation?_id:not=o-{}&subject=Patient/p1
    Observation?subject=Patient/{} Observation?subject=Patient/{},Patient/p1 Observation?subject:Patient={}
    ?_type=Observation,Patient&_id=o-{},{} Provenance?target=Observation/o-{} Provenance?patient=Patient/{}
    Group?member=Patient/{} Group?member={},p1 Group?member:Patient={} Group?_id=g-{}
    Consent?patient=Patient/{} Contract?patient={} GuidanceResponse?subject=Patient/{}
    Patient/{}/Patient? Patient/{}/Observation? Patient/{}/Observation?_id=o-{} Patient/{}/Group?
    Patient/{}/Consent? Patient/{}/Provenance? Patient/{}/*? Patient/{}/*?_type=Observation,Group
    Patient/{}/*?_lastUpdated=gt2020
    Patient/p1/Observation?subject=Patient/{} Patient/p1/Group?member=Patient/{} Patient/p1/*?_id=o-{}
    Observation?_id=o-{},o-p1&_include=*&_revinclude=* Patient?_id={},p1&_revinclude=Observation:subject
    Group?_id=z-{}&_include:iterate=*&_revinclude:iterate=Observation:*
    Patient/{}/Observation?_include:iterate=*&_revinclude=* Patient/p1/*?_revinclude:iterate=*
""".split()
SHAPES = ("_summary=count", "_total=accurate&_sort=-_id&_count=2")


@pytest.mark.parametrize("who", [*CALLERS, SYSTEM], ids=lambda who: who.name)
async def test_no_search_tells_a_hidden_patient_from_one_who_never_was(server: Server, who: Who) -> None:
    asks = [Ask("GET", f"{search}&{shape}") for search in SEARCHES for shape in SHAPES]
    async with who.client(server) as client:
        found = await differences(client, asks, who.hidden)
    assert not found, "\n".join(found)


TYPES = """
    Patient Observation Provenance Binary Group Bundle Parameters Contract GuidanceResponse Consent AuditEvent
    RelatedPerson
""".split()
EVERYTHING = [
    *(f"{type}?_count=1000&_total=accurate" for type in TYPES),
    *(f"{type}/_history?_count=1000" for type in TYPES),
    *"""
    ?_count=1000 _history?_count=1000 Patient?_sort=family Group?_include=Group:member
    Provenance?_include=Provenance:target&_include=Provenance:patient&_count=1000
    Observation?_include=Observation:subject&_count=1000&_sort=date
    Observation?_include=Observation:subject:Patient&_sort=-subject&_count=1000
    Patient?_revinclude=Observation:subject&_revinclude=Group:member&_revinclude=Consent:patient
    Patient?_count=1000&_revinclude=*&_include=* Group?_include:iterate=*&_revinclude:iterate=*
    Observation?_revinclude=Provenance:target&_revinclude:iterate=*&_include:iterate=*
    RelatedPerson?_include:iterate=*&_revinclude:iterate=* AuditEvent?_include=*&_count=1000
    """.split(),
]


@pytest.mark.parametrize("who", [*CALLERS, SYSTEM], ids=lambda who: who.name)
async def test_nothing_hidden_is_among_everything(server: Server, who: Who) -> None:
    """Whole types, whole histories, whatever they include: neither the data nor an id."""
    async with who.client(server) as client:
        shown = [fault for path in EVERYTHING for fault in faults(path, await client.get(f"/{path}"), who)]
    assert not shown, "\n".join(shown)


def faults(path: str, answer: httpx.Response, who: Who) -> list[str]:
    """What is wrong with a Bundle that must not show anything of the hidden patients."""
    assert answer.status_code == 200, f"{path}: {answer.text[:300]}"
    body = answer.json()
    entries = body.get("entry", [])
    ids = {entry["resource"]["id"] for entry in entries if "resource" in entry}
    matches = [entry for entry in entries if entry.get("search", {}).get("mode") == "match"]
    found = [f"{path} shows data of {id}" for id in who.hidden if f"{SECRET}-{id}" in answer.text]
    found += [f"{path} names {id}" for id in who.hidden if f"Patient/{id}" in answer.text]
    found += [f"{path} finds {id}" for id in ids if id[1:] in {f"-{patient}" for patient in who.hidden}]
    is_whole = all(link["relation"] != "next" for link in body.get("link", []))
    if is_whole and body.get("total") not in (None, len(matches)):
        found.append(f"{path} counts {body['total']}, shows {len(matches)}")
    return found
