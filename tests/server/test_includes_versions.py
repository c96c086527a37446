"""`_include` along references with a version: https://hl7.org/fhir/R4/search.html#versions"""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.server.running import Server, a_patient, an_observation, serving
from tests.server.test_includes_beyond import walked
from tests.server.ward import an_organization, put_all, to

MEMBERS = "_include=Observation:has-member"


async def included(client: httpx.AsyncClient, address: str) -> set[str]:
    """`Type/id/version` of what is included, on all pages."""
    resources = [
        entry["resource"]
        for page in await walked(client, address)
        for entry in page.get("entry", ())
        if entry["search"]["mode"] == "include"
    ]
    return {f"{one['resourceType']}/{one['id']}/{one['meta']['versionId']}" for one in resources}


async def _stored(client: httpx.AsyncClient) -> None:
    """Of o1 three versions, the first of another patient; of o2 the second is another one's; o3 is gone."""
    for patient in ("other", "p"):
        await put_all(client, [a_patient(id=patient)])
    for patient in ("other", "p", "p"):
        about = an_observation(patient, id="o1", code={"text": patient})
        await put_all(client, [{**about, "note": [{"text": patient}]}])
        await put_all(client, [{**about, "note": [{"text": f"{patient} again"}]}])
    await put_all(client, [an_observation("p", id="o2"), an_observation("other", id="o2")])
    await put_all(client, [an_observation("p", id="o3")])
    (await client.delete("/Observation/o3")).raise_for_status()


def refers(id: str, *members: str) -> dict[str, object]:
    return an_observation("p", id=id, hasMember=[to(f"Observation/{member}") for member in members])


async def test_the_version_that_is_named_is_included(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
        await put_all(
            client,
            [
                refers("first", "o1/_history/1"),
                refers("two", "o1/_history/1", "o1/_history/3"),
                refers("now", "o1/_history/6"),
                refers("plain", "o1"),
                refers("never", "o1/_history/9"),
                refers("gone", "o3/_history/1"),
                refers("itself", "itself/_history/1"),
            ],
        )
        await put_all(client, [refers("itself", "itself/_history/1", "o1")])
        expected = {
            "first": {"Observation/o1/1"},
            "two": {"Observation/o1/1", "Observation/o1/3"},
            "now": {"Observation/o1/6"},
            "plain": {"Observation/o1/6"},
            # It is not there: what is comes in its place.
            "never": {"Observation/o1/6"},
            "gone": set(),
            "itself": {"Observation/itself/1", "Observation/o1/6"},
            "first,plain": {"Observation/o1/1", "Observation/o1/6"},
        }
        for ids, versions in expected.items():
            assert await included(client, f"/Observation?_id={ids}&{MEMBERS}") == versions, ids


async def test_what_refers_to_a_match_comes_as_it_is_whatever_version_is_named(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, [refers("b", "a")])
        await put_all(client, [refers("b", "a", "a")])
        await put_all(client, [refers("a", "b/_history/1")])
        both = f"/Observation?_id=a&{MEMBERS}&_revinclude=Observation:has-member"
        assert await included(client, both) == {"Observation/b/1", "Observation/b/2"}


async def test_references_of_that_version_are_followed_on(server: Server) -> None:
    async with server.as_() as client:
        await put_all(client, [an_organization("old"), an_organization("new"), a_patient(id="p")])
        for one in ("old", "new"):
            await put_all(client, [a_patient(id="q", managingOrganization=to(f"Organization/{one}"))])
        await put_all(client, [{**an_observation("p", id="o"), "subject": to("Patient/q/_history/1")}])
        address = "/Observation?_include=Observation:subject&_include:iterate=Patient:organization"
        assert await included(client, address) == {"Patient/q/1", "Organization/old/1"}


async def test_a_version_is_included_as_far_as_the_caller_could_read_it(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
        await put_all(
            client,
            [refers("r", "o1/_history/1"), refers("s", "o1/_history/4"), refers("t", "o2/_history/1")],
        )
    async with server.as_("patient/*.rs", patient="p") as confined:
        # The first version of o1 was of somebody else: as if it had never been.
        assert await included(confined, f"/Observation?_id=r&{MEMBERS}") == {"Observation/o1/6"}
        assert await included(confined, f"/Observation?_id=s&{MEMBERS}") == {"Observation/o1/4"}
        # What is somebody else's by now was theirs all along.
        assert await included(confined, f"/Observation?_id=t&{MEMBERS}") == set()
        for number, status in ((1, 404), (4, 200)):
            assert (await confined.get(f"/Observation/o1/_history/{number}")).status_code == status


async def test_the_record_names_the_version(server: Server) -> None:
    async with server.as_() as client:
        await _stored(client)
        await put_all(client, [refers("s", "o1/_history/4")])
        await client.get(f"/Observation?_id=s&{MEMBERS}")
        [event] = (await client.get("/AuditEvent?_sort=-date&_count=1&entity=Observation/o1")).json()["entry"]
        named = [one.get("what", {}).get("reference") for one in event["resource"]["entity"]]
        assert "Observation/o1/_history/4" in named


async def test_versions_come_in_parts_as_others_do(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, includes_max=4) as server,
        server.as_() as client,
    ):
        await put_all(client, [a_patient(id="p")])
        wanted = [f"o{n}" for n in range(9)]
        for text in ("first", "second"):
            await put_all(client, [an_observation("p", id=id, note=[{"text": text}]) for id in wanted])
        await put_all(client, [refers("m", *(f"{id}/_history/1" for id in wanted), "o1/_history/2")])
        expected = {f"Observation/{id}/1" for id in wanted} | {"Observation/o1/2"}
        assert await included(client, f"/Observation?_id=m&{MEMBERS}") == expected
