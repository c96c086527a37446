"""
What a page includes is never cut: the page ends earlier, or what is left comes behind `next`.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.server.running import a_patient, an_observation, issues_of, serving
from tests.server.ward import an_organization, keys_of, put_all, to


async def walked(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """The Bundles of all pages."""
    pages: list[dict[str, Any]] = []
    onward: str | None = path
    while onward is not None:
        answer = await client.get(onward)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        onward = next((each["url"] for each in pages[-1]["link"] if each["relation"] == "next"), None)
        assert len(pages) < 60
    return pages


def keys_in(bundle: dict[str, Any], mode: str) -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle.get("entry", [])
        if entry["search"]["mode"] == mode
    ]


async def test_a_page_ends_where_its_includes_would_be_too_many(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    """Each match once, its includes on its page; read forward and back."""
    async with (
        serving(mongodb_url, database_name, tmp_path, includes_max=4) as server,
        server.as_() as client,
    ):
        await put_all(client, [an_organization(f"o{n}") for n in range(7)])
        wanted = {}
        for n in range(7):
            members = [f"p{n}-{m}" for m in range((n * 3) % 5)]
            await put_all(
                client, [a_patient(id=id, managingOrganization=to(f"Organization/o{n}")) for id in members]
            )
            wanted[f"Organization/o{n}"] = {f"Patient/{id}" for id in members}
        for order in ("", "&_sort=-_lastUpdated", "&_sort=-name"):
            pages = await walked(client, f"/Organization?_revinclude=Patient:organization{order}")
            assert len(pages) > 1
            met = [key for page in pages for key in keys_in(page, "match")]
            assert sorted(met) == sorted(wanted)
            for page in pages:
                included = set[str]().union(*(wanted[key] for key in keys_in(page, "match")))
                assert sorted(keys_in(page, "include")) == sorted(included)
                assert len(included) <= 4
            back, page = [], pages[-1]
            while True:
                back.append(page)
                before = [each["url"] for each in page["link"] if each["relation"] == "previous"]
                if not before:
                    break
                page = (await client.get(before[0])).json()
            met = [key for page in back for key in keys_in(page, "match")]
            assert sorted(met) == sorted(wanted)
            assert all(
                set(keys_in(page, "include"))
                == set[str]().union(*(wanted[key] for key in keys_in(page, "match")))
                for page in back
            )


async def test_what_one_match_includes_beyond_the_limit_comes_behind_next(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, includes_max=4) as server,
        server.as_() as client,
    ):
        here = {"managingOrganization": to("Organization/b")}
        await put_all(client, [an_organization(id) for id in ("a", "b", "c")])
        await put_all(client, [an_organization("up"), an_organization("b", partOf=to("Organization/up"))])
        await put_all(client, [a_patient(id=f"p{n}", **here) for n in range(10)])
        await put_all(client, [a_patient(id="q", managingOrganization=to("Organization/c"))])
        asked = (
            "/Organization?_id=a,b,c&_sort=_id&_include=Organization:partof&_revinclude=Patient:organization"
        )
        pages = await walked(client, asked)
        assert [keys_in(page, "match") for page in pages] == [
            ["Organization/a"], ["Organization/b"], [], [], ["Organization/c"],
        ]  # fmt: skip
        included = [key for page in pages[1:4] for key in keys_in(page, "include")]
        assert sorted(included) == sorted(["Organization/up", *(f"Patient/p{n}" for n in range(10))])
        assert all(len(keys_in(page, "include")) <= 4 for page in pages)
        assert keys_in(pages[4], "include") == ["Patient/q"]
        for page, told in zip(pages, (False, True, True, False, False), strict=True):
            outcomes = [entry for entry in page.get("entry", []) if entry["search"]["mode"] == "outcome"]
            assert bool(outcomes) == told
            if told:
                text = outcomes[0]["resource"]["issue"][0]["diagnostics"]
                assert text.startswith("Organization/b includes more resources than a page has")
        # What was hidden or deleted meanwhile: the rest is nobody's, and the walk goes on behind it.
        onward = next(each["url"] for each in pages[1]["link"] if each["relation"] == "next")
        await client.delete("/Organization/b")
        rest = await walked(client, onward)
        assert [keys_in(page, "include") for page in rest] == [[], ["Patient/q"]]


async def test_what_follows_from_the_includes_of_one_match_comes_with_its_part(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, includes_max=4) as server,
        server.as_() as client,
    ):
        await put_all(client, [an_organization("o")])
        for n in range(5):
            await put_all(client, [a_patient(id=f"p{n}", managingOrganization=to("Organization/o"))])
            await put_all(client, [an_observation(f"p{n}", id=f"b{n}-{m}") for m in range(n % 3)])
        asked = "/Organization?_revinclude=Patient:organization&_revinclude:iterate=Observation:subject"
        pages = await walked(client, asked)
        assert [key for page in pages for key in keys_in(page, "match")] == ["Organization/o"]
        for page in pages:
            shown = keys_in(page, "include")
            patients = [key for key in shown if key.startswith("Patient")]
            expected = [f"Observation/b{key[-1]}-{m}" for key in patients for m in range(int(key[-1]) % 3)]
            assert sorted(shown) == sorted([*patients, *expected])
        met = [key for page in pages for key in keys_in(page, "include") if key.startswith("Patient")]
        assert sorted(met) == [f"Patient/p{n}" for n in range(5)]


async def test_what_cannot_be_shown_in_parts_is_refused(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, includes_max=3, include_steps_max=2) as server,
        server.as_() as client,
    ):
        line = [
            an_organization(f"o{n}", **({"partOf": to(f"Organization/o{n - 1}")} if n else {}))
            for n in range(8)
        ]
        await put_all(client, line)
        forward = "/Organization?_id={}&_include:iterate=Organization:partof"
        assert len(keys_of(await client.get(forward.format("o2")), "include")) == 2
        # What is a match already is none of what is included.
        few = await client.get("/Organization?_id=o4,o5,o6,o7,o2&_include=Organization:partof")
        assert sorted(keys_of(few, "include")) == ["Organization/o1", "Organization/o3"]
        answer = await client.get(forward.format("o7"))
        assert answer.status_code == 403, answer.text
        (issue,) = issues_of(answer)
        assert issue["code"] == "too-costly"
        assert "more than 2 references away" in issue["diagnostics"]
        await put_all(client, [a_patient(id="p", managingOrganization=to("Organization/o0"))])
        await put_all(client, [an_observation("p", id=f"b{n}") for n in range(4)])
        deep = "/Organization?_id=o0&_revinclude=Patient:organization&_revinclude:iterate=Observation:subject"
        answer = await client.get(deep)
        assert answer.status_code == 403
        assert "cannot be shown in parts" in issues_of(answer)[0]["diagnostics"]
