"""`near` over HTTP: https://hl7.org/fhir/R4/location.html#search"""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Server, issues_of
from tests.server.test_search import ids_of

PLACES = {
    "berlin": ("52.52", "13.405"),
    "potsdam": ("52.3906", "13.0645"),
    "warsaw": ("52.2297", "21.0122"),
    "suva": ("-18.1416", "178.4419"),
    "apia": ("-13.8333", "-171.7667"),
    "south-pole": ("-90.0", "0"),
}


def a_location(id: str, latitude: str, longitude: str, **stated: Any) -> str:
    """As text, for the digits' sake."""
    rest = "".join(f',"{name}":"{value}"' for name, value in stated.items())
    position = f'"position":{{"latitude":{latitude},"longitude":{longitude}}}'
    return f'{{"resourceType":"Location","id":"{id}",{position}{rest}}}'


async def put(server: Server, id: str, text: str) -> None:
    async with server.as_() as client:
        written = await client.put(
            f"/Location/{id}", content=text, headers={"Content-Type": "application/fhir+json"}
        )
        assert written.status_code in (200, 201), written.text


async def _stored(server: Server) -> None:
    for id, (latitude, longitude) in PLACES.items():
        await put(server, id, a_location(id, latitude, longitude, name=id, status="active"))
    await put(server, "nowhere", '{"resourceType":"Location","id":"nowhere","name":"nowhere"}')


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("near=52.52|13.405|1|m", ["berlin"]),
        ("near=52.52|13.405", ["berlin", "potsdam"]),
        ("near=52.52|13.405|27|km", ["berlin"]),
        ("near=52.52|13.405|28", ["berlin", "potsdam"]),
        ("near=52.52|13.405|16|[mi_i]", ["berlin"]),
        ("near=52.52|13.405|17|[mi_i]", ["berlin", "potsdam"]),
        ("near=52.52|13.405|550|km&name=w", ["warsaw"]),
        ("near=52.52|13.405|550|km&name:not=w", None),
        ("near=52.52|13.405|1,52.2297|21.0122|1", ["berlin", "warsaw"]),
        ("near=52.52|13.405|28&near=52.39|13.06|1", ["potsdam"]),
        ("near=-16|180|1200", ["apia", "suva"]),
        ("near=-16|-180|1200", ["apia", "suva"]),
        ("near=-90|77|1|m", ["south-pole"]),
        ("near=0|0|20000|km&_sort=name", ["apia", "berlin", "potsdam", "south-pole", "suva", "warsaw"]),
        ("near:missing=true", ["nowhere"]),
        ("near:missing=false&name=b", ["berlin"]),
    ],
)
async def test_near(server: Server, query: str, expected: list[str] | None) -> None:
    await _stored(server)
    async with server.as_() as client:
        answer = await client.get(f"/Location?{query.replace('+', '%2B')}")
        if expected is None:
            assert answer.status_code == 400
            return
        assert sorted(ids_of(answer)) == expected
        name, _, rest = query.partition("=")
        total = await client.post("/Location/_search", data={name: rest.split("&")[0], "_summary": "count"})
        assert total.json()["total"] >= len(expected)


async def test_near_asks_of_what_is_there_now(server: Server) -> None:
    await _stored(server)
    await put(server, "berlin", a_location("berlin", "-33.86", "151.2"))
    async with server.as_() as client:
        await client.delete("/Location/potsdam")
        assert ids_of(await client.get("/Location?near=52.52|13.405|30")) == []
        assert ids_of(await client.get("/Location?near=-33.86|151.2|1")) == ["berlin"]
        history = await client.get("/Location/potsdam/_history")
        assert [entry["request"]["method"] for entry in history.json()["entry"]] == ["DELETE", "PUT"]
        assert '"latitude":52.3906' in history.text


async def test_pages_of_near_are_whole(server: Server) -> None:
    for number in range(7):
        await put(server, f"p{number}", a_location(f"p{number}", f"10.{number}", "20.0", name=f"n{number}"))
    async with server.as_() as client:
        for order in ("", "&_sort=-name", "&_sort=_lastUpdated"):
            found: list[str] = []
            address = f"/Location?near=10.3|20|20&_count=2{order}"
            while address:
                answer = await client.get(address)
                found += ids_of(answer)
                links = {link["relation"]: link["url"] for link in answer.json()["link"]}
                address = links.get("next", "")
            assert sorted(found) == ["p2", "p3", "p4"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("near=52.52", 400),
        ("near=99|1", 400),
        ("near=52.52|13.405|1|miles", 400),
        ("near:exact=52.52|13.405", 400),
        ("near=1|2&_sort=near", 501),
    ],
)
async def test_what_is_no_place_is_refused_by_name(server: Server, query: str, status: int) -> None:
    async with server.as_() as client:
        answer = await client.get(f"/Location?{query}")
        assert answer.status_code == status
        told = issues_of(answer)[0]["diagnostics"]
        assert "near" in told
        assert "52.52" not in told


async def test_near_is_declared(server: Server) -> None:
    async with server.as_() as client:
        (rest,) = (await client.get("/metadata")).json()["rest"]
    (location,) = (each for each in rest["resource"] if each["type"] == "Location")
    assert {"name": "near", "type": "special"}.items() <= next(
        each for each in location["searchParam"] if each["name"] == "near"
    ).items()


async def test_near_is_asked_along_references(server: Server) -> None:
    await _stored(server)
    async with server.as_() as client:
        for place in ("berlin", "warsaw"):
            encounter = {
                "resourceType": "Encounter",
                "id": f"in-{place}",
                "status": "finished",
                "class": {"code": "AMB"},
                "location": [{"location": {"reference": f"Location/{place}"}}],
            }
            written = await client.put(f"/Encounter/in-{place}", json=encounter)
            assert written.status_code == 201, written.text
        chained = "/Encounter?location.near=52.5|13.4|30&status=finished"
        assert ids_of(await client.get(chained)) == ["in-berlin"]
        assert ids_of(await client.get("/Encounter?location.near=0|0|30")) == []
        answer = await client.get("/Encounter?location.near=52.5|13.4|30|miles")
        assert answer.status_code == 400
        assert "near" in issues_of(answer)[0]["diagnostics"]


async def test_near_needs_the_right_to_search_locations(server: Server) -> None:
    await _stored(server)
    async with server.as_("system/Encounter.rs system/Location.r") as client:
        assert (await client.get("/Location?near=52.52|13.405|50")).status_code == 403
