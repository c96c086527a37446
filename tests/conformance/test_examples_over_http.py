"""
Each of HL7's own examples, created, read, converted to XML and back: no value and no digit is lost.

Those that break a rule of R4 are on the list in conformance/r4_examples.md, and are refused. What acts
on others when it is stored (Consent, SearchParameter, Subscription) has a database of its own; each
Consent has a patient of its own too, who submits it, as it may deny itself to anybody else. AuditEvents,
which nobody may create, go through `$validate` and the converters.

https://hl7.org/fhir/R4/examples.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.xml import from_xml, to_xml
from tests.databases import a_database
from tests.r4.packages import EXAMPLES
from tests.server.running import Server, serving

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="hl7.fhir.r4.examples is not here"),
    # Five thousand resources, each asked for three times.
    pytest.mark.timeout(1_200),
]

LISTED: Final = Path(__file__).parents[2] / "conformance" / "r4_examples.md"
ACTING: Final = frozenset({"Consent", "SearchParameter", "Subscription"})
AT_ONCE: Final = 16
RESOURCE_BYTES_MAX: Final = 32 << 20
XML: Final = {"Accept": "application/fhir+xml"}
JSON: Final = {"Content-Type": "application/fhir+json"}
AS_XML: Final = {"Content-Type": "application/fhir+xml"}


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(EXAMPLES.glob("*-*.json")):
        yield path.stem, from_text(path.read_bytes())


def refused_by_the_list() -> frozenset[str]:
    return frozenset(re.findall(r"^\| ([^|` ]+) \|", LISTED.read_text(), re.MULTILINE))


def literally(resource: dict[str, Any]) -> bytes:
    """The text without what the server gives: id where there was none, version and time."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in _GIVEN}
    kept = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    return to_text({**kept, "meta": meta} if meta else kept)


def in_any_order(resource: dict[str, Any]) -> bytes:
    """The same, whatever order the members have: XML has an order of its own."""
    return to_text(_sorted(from_text(literally(resource))))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


_GIVEN: Final = ("versionId", "lastUpdated")


async def _flaw(client: httpx.AsyncClient, resource: dict[str, Any], *, listed: bool) -> str | None:
    """What is wrong with how the server treats the example; None when nothing is."""
    resource_type, text = resource["resourceType"], to_text(resource)
    if resource_type == "AuditEvent":
        return await _flaw_of_an_event(client, resource)
    created = await client.post(f"/{resource_type}", content=text, headers=JSON)
    if listed:
        return None if created.status_code == httpx.codes.UNPROCESSABLE_ENTITY else "is not refused"
    if created.status_code != httpx.codes.CREATED:
        return f"{created.status_code} {created.text[:300]}"
    address = f"/{resource_type}/{created.json()['id']}"
    formats = ({"Accept": "application/fhir+json"}, XML)
    read, as_xml = await asyncio.gather(*(client.get(address, headers=one) for one in formats))
    if literally(from_text(read.content)) != literally(resource):
        return "the JSON differs"
    if in_any_order(from_xml(as_xml.content)) != in_any_order(resource):
        return "the XML differs"
    again = await client.put(address, content=as_xml.content, headers=AS_XML)
    if again.status_code != httpx.codes.OK or in_any_order(from_text(again.content)) != in_any_order(
        resource
    ):
        return f"what came back as XML differs: {again.status_code} {again.text[:300]}"
    return None


async def _flaw_of_an_event(client: httpx.AsyncClient, resource: dict[str, Any]) -> str | None:
    judged = await client.post("/AuditEvent/$validate", content=to_text(resource), headers=JSON)
    if any(issue["severity"] in ("error", "fatal") for issue in judged.json()["issue"]):
        return judged.text[:300]
    same = in_any_order(from_xml(to_xml(resource))) == in_any_order(resource)
    return None if same else "the XML differs"


async def test_each_example_survives(mongodb_url: str, tmp_path: Path) -> None:
    listed = refused_by_the_list()
    wrong: dict[str, str] = {}
    count = 0
    async with AsyncExitStack() as stack:

        async def serve(suffix: str) -> Server:
            folder = tmp_path / suffix
            folder.mkdir()
            name = await stack.enter_async_context(a_database(mongodb_url))
            return await stack.enter_async_context(
                serving(mongodb_url, name, folder, resource_bytes_max=RESOURCE_BYTES_MAX)
            )

        usual, acting = await serve("-u"), await serve("-a")

        async def judge(name: str, resource: dict[str, Any]) -> None:
            own = {}
            if resource["resourceType"] == "Consent" and "patient" in resource:
                resource["patient"] = {"reference": f"Patient/{resource['id']}"}
                own = {"user": f"Patient/{resource['id']}", "scope": "user/Consent.cruds"}
            server = acting if resource["resourceType"] in ACTING else usual
            async with server.as_(**own) as client:
                found = await _flaw(client, resource, listed=name in listed)
            if found is not None:
                wrong[name] = found

        listing = examples()
        while some := list(islice(listing, AT_ONCE)):
            await asyncio.gather(*(judge(*one) for one in some))
            count += len(some)
    assert wrong == {}
    assert count == 5_306
