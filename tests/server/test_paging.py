"""Links from page to page over HTTP: https://hl7.org/fhir/R4/http.html#paging"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.server.running import BASE, Server, a_patient, an_observation, issues_of, serving

SYSTEM: Final = "system/*.cruds"
QUERIES: Final = [
    "Observation?_count=3",
    "Observation?_sort=date&_count=3",
    "Observation?_sort=-date&_count=3&status=final",
    "Observation?_sort=_lastUpdated&_count=3",
    "Observation?_sort=-_lastUpdated&_count=3",
    "Observation?_sort=value-quantity,-_id&_count=3",
    "Observation?_sort=-_id&_count=3",
    "Patient/p/Observation?_count=3&_sort=-date",
    "?_type=Observation,Patient&_count=3",
    "_history?_count=3",
    "Observation/_history?_count=3",
    "Observation/o1/_history?_count=3",
    "AuditEvent?_count=3&_sort=date",
    "AuditEvent?_count=3&entity=Patient/p",
]


def link(answer: httpx.Response, relation: str) -> str | None:
    """The link of that relation, if there is one."""
    assert answer.status_code == 200, answer.text
    links = {each["relation"]: each["url"] for each in answer.json()["link"]}
    return links.get(relation)


def shown(answer: httpx.Response) -> list[tuple[str, str]]:
    """The versions on a page."""
    found = []
    for entry in answer.json().get("entry", []):
        version = entry.get("resource", {}).get("meta", {}).get("versionId", "-")
        found.append((entry["fullUrl"], version))
    return found


async def load(client: httpx.AsyncClient, count: int = 11) -> None:
    await client.put("/Patient/p", json=a_patient(id="p"))
    for n in range(count):
        stated: dict[str, Any] = {"id": f"o{n}", "valueQuantity": {"value": n % 3}}
        if n % 4:
            stated["effectiveDateTime"] = f"2020-01-{1 + n // 3:02}"
        await client.put(f"/Observation/o{n}", json=an_observation("p", **stated))
    for n in range(4):
        await client.put("/Observation/o1", json=an_observation("p", id="o1", valueQuantity={"value": n}))


async def walk(client: httpx.AsyncClient, answer: httpx.Response, relation: str) -> list[httpx.Response]:
    """The page and all that its links lead to."""
    pages = [answer]
    while (onward := link(pages[-1], relation)) is not None:
        pages.append(await client.get(onward))
    return pages


@pytest.mark.parametrize("query", QUERIES)
async def test_forward_and_back_again_are_the_same_pages(server: Server, query: str) -> None:
    async with server.as_() as client:
        await load(client)
        first = await client.get(f"/{query}")
        if query.startswith("AuditEvent"):
            # Each page that is asked for is an event more: to be found in what comes after the pages.
            pages = [first]
            for _ in range(3):
                onward = link(pages[-1], "next")
                assert onward is not None
                pages.append(await client.get(onward))
        else:
            pages = await walk(client, first, "next")
        assert len(pages) > 1
        found = [entry for page in pages for entry in shown(page)]
        assert len(found) == len(set(found)) or "AuditEvent" in query
        assert all(len(shown(page)) == 3 for page in pages[:-1])
        page, back = pages[-1], [pages[-1]]
        while len(back) < len(pages):
            before = link(page, "previous")
            assert before is not None
            page = await client.get(before)
            back.append(page)
        again = await client.get(link(back[-1], "next") or "")
    assert [shown(page) for page in reversed(back)] == [shown(page) for page in pages]
    assert shown(again) == shown(pages[1])
    assert link(pages[0], "previous") is None
    if "AuditEvent" not in query:
        assert link(back[-1], "previous") is None
    for page in pages:
        assert link(page, "first") == link(page, "self")


async def test_one_page_needs_no_links(server: Server) -> None:
    async with server.as_() as client:
        await load(client, 2)
        answer = await client.get("/Observation?_sort=-date")
    assert [each["relation"] for each in answer.json()["link"]] == ["self"]


async def test_a_link_is_good_for_its_request_alone(server: Server) -> None:
    async with server.as_() as client:
        await load(client)
        onward = link(await client.get("/Observation?_sort=date&_count=3&status=final"), "next")
        assert onward is not None
        cursor = onward.partition("_cursor=")[2]
        asked = f"_cursor={cursor}"
        for other in (
            f"Observation?status=final&{asked}",
            f"Observation?_sort=-date&status=final&{asked}",
            f"Observation?_sort=date&status=final,amended&{asked}",
            f"Observation?_sort=date&{asked}",
            f"Patient/p/Observation?_sort=date&status=final&{asked}",
            f"Observation/_history?{asked}",
            f"?_type=Observation&_sort=date&status=final&{asked}",
        ):
            refused = await client.get(f"/{other}")
            assert refused.status_code == 400
            (issue,) = issues_of(refused)
            assert issue["diagnostics"].startswith("The page link is not one that this server gave")
        # How many, and how they are written, may change.
        longer = await client.get(f"/Observation?status=final&_sort=date&_count=5&_elements=status&{asked}")
        posted = await client.post(
            "/Observation/_search?_sort=date",
            content=f"status=final&{asked}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        history = link(await client.get("/Observation/_history?_count=2"), "next")
        assert history is not None
        elsewhere = await client.get(history.replace("/Observation/_history", "/_history"))
    assert len(shown(longer)) == 5
    assert posted.status_code == 200
    assert elsewhere.status_code == 400


async def test_a_link_is_good_for_its_caller_alone(server: Server) -> None:
    async with server.as_(user="Practitioner/1") as owner:
        await load(owner)
        onwards = [link(await owner.get(f"/{query}"), "next") for query in QUERIES]
    others = [
        server.as_(),
        server.as_(user="Practitioner/2"),
        server.as_(user="Practitioner/1", patient="p"),
        server.bearing(server.token(user="Practitioner/1", client="another")),
    ]
    told = set()
    for client in others:
        async with client:
            for onward in onwards:
                assert onward is not None
                answer = await client.get(onward)
                assert answer.status_code == 400
                told.add(issues_of(answer)[0]["diagnostics"])
    # The same words for whatever is wrong with it.
    async with server.as_(user="Practitioner/1") as owner:
        for onward in onwards:
            assert onward is not None
            for changed in (onward[:-1], onward + "A", onward[:-6] + "AAAAAA", BASE + "/Patient?_cursor=x"):
                answer = await owner.get(changed)
                assert answer.status_code == 400
                told.add(issues_of(answer)[0]["diagnostics"])
    assert len(told) == 1


async def test_a_renewed_token_goes_on(server: Server) -> None:
    async with server.as_(user="Practitioner/1") as client:
        await load(client)
        onward = link(await client.get("/Observation?_count=3&_sort=-date"), "next")
    assert onward is not None
    async with server.as_("system/*.rs", user="Practitioner/1") as renewed:
        assert len(shown(await renewed.get(onward))) == 3


async def test_a_link_works_in_another_process_and_after_a_restart(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path) as first,
        serving(mongodb_url, database_name, tmp_path) as second,
    ):
        async with first.as_() as client:
            await load(client)
            onward = link(await client.get("/Observation?_sort=_lastUpdated&_count=3"), "next")
        assert onward is not None
        async with second.as_() as client:
            expected = shown(await client.get(onward))
    async with serving(mongodb_url, database_name, tmp_path) as later, later.as_() as client:
        assert shown(await client.get(onward)) == expected


async def test_a_link_tells_nothing(server: Server) -> None:
    """Not the date of what it leads to, which may be a birth date, nor an id."""
    async with server.as_() as client:
        for n in range(4):
            await client.put(f"/Patient/p{n}", json=a_patient(id=f"p{n}", birthDate="1970-01-01"))
        for query in ("Patient?_sort=birthdate&_count=2", "Patient?_sort=_id&_count=2"):
            onward = link(await client.get(f"/{query}"), "next")
            assert onward is not None
            cursor = onward.partition("_cursor=")[2]
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            assert b"p1" not in raw
            assert b"," not in raw[16:] or not raw[16:].startswith(b"[")
            assert len(cursor) < 200


async def test_an_estimated_total_is_exact_until_it_ends(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path, total_estimated_max=5) as server:
        async with server.as_() as client:
            await load(client, 9)
            for query, total in (
                ("Observation?_total=estimate", 5),
                ("Observation?_total=accurate", 9),
                ("Observation?_total=estimate&_count=0", 5),
                ("Observation?_total=estimate&_id=o1,o2", 2),
                ("Observation?_summary=count", 9),
                ("AuditEvent?_total=estimate", 5),
            ):
                assert (await client.get(f"/{query}")).json()["total"] == total, query
        # What is hidden is not in it, below the end and beyond.
        async with server.as_("patient/*.rs", patient="nobody") as client:
            assert (await client.get("/Observation?_total=estimate")).json()["total"] == 0
