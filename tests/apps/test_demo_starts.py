"""`serve --demo` on the command line: what the first start makes, what later ones mend, and launches."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fhir_server.population.demo import demo_people
from tests.apps.demo import Demo, started
from tests.databases import a_database
from tests.server.served import served_on


async def test_passwords_are_shown_once_and_the_app_moves_with_the_port(
    mongodb_url: str, tmp_path: Path
) -> None:
    people = demo_people()
    async with a_database(mongodb_url) as database:
        async with started(mongodb_url, database, tmp_path) as first:
            log = first.server.log.read_text()
            assert [log.count(password) for password in first.passwords.values()] == [1, 1]
            users = [
                line.split("  ")[1:3] for line in (await first.server.operated("user", "list")).split("\n")
            ]
            assert sorted(users) == [
                ["patient", f"Patient/{people.patient}"],
                ["practitioner", f"Practitioner/{people.practitioner}"],
            ]
            assert f"{first.origin}/demo/callback" in await first.server.operated("client", "list")
            async with first.server.client() as client:
                for interaction in ("client-register", "user-add"):
                    found = await client.get(f"/AuditEvent?subtype={interaction}&_summary=count")
                    assert found.json()["total"] >= 1, interaction
                for path in (f"Patient/{people.patient}", f"Encounter/{people.encounter}"):
                    assert (await client.get(f"/{path}")).status_code == httpx.codes.OK
        async with started(mongodb_url, database, tmp_path) as second:
            assert second.passwords == {}
            assert "Passwords were shown at the first start" in second.server.log.read_text()
            (client_line,) = (await second.server.operated("client", "list")).split("\n")
            assert client_line.endswith(f"  {second.origin}/demo/callback")
            assert second.origin != first.origin
            address = await second.server.operated("launch", "--client", "demo-app")
            assert address.startswith(f"{second.origin}/demo/launch?iss=")


async def test_nothing_of_it_is_served_without_being_asked_for(mongodb_url: str, tmp_path: Path) -> None:
    async with (
        a_database(mongodb_url) as database,
        served_on(mongodb_url, database, tmp_path, {}, workers=1) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http,
    ):
        for path in ("/demo/", "/demo/launch", "/demo/smart.js"):
            assert (await http.get(path)).status_code == httpx.codes.NOT_FOUND
        start = await http.get("/")
        assert "/auth/apps" in start.text
        assert 'href="/demo/"' not in start.text
        assert await server.operated("client", "list") == ""
        assert await server.operated("user", "list") == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--client", "nobody"), "`client_id` is that of a registered app"),
        (("--client", "demo-app", "--patient", "nobody"), "resources that this token may read"),
        (("--client", "demo-app", "--encounter", "1"), "`encounter` is one of the patient"),
        (("--client", "demo-app", "--launch-uri", "https://evil.example/"), "`launch_uri` is one that"),
        (("--client", "demo-app", "--base-url", "http://127.0.0.1:9/fhir"), "No server answers at"),
    ],
    ids=["client", "patient", "encounter", "address", "server"],
)
async def test_a_launch_that_cannot_be_is_refused_with_the_reason(
    demo: Demo, arguments: tuple[str, ...], said: str
) -> None:
    assert said in await demo.server.operated_in_vain("launch", *arguments)


async def test_an_app_with_no_address_to_be_launched_at_is_not_launched(demo: Demo) -> None:
    client = await demo.registers("Alone", "https://app.example/callback", "launch/patient patient/*.rs")
    said = await demo.server.operated_in_vain("launch", "--client", client)
    assert "has registered no address to be launched at" in said


async def test_a_launch_is_recorded(demo: Demo) -> None:
    await demo.server.operated("launch", "--client", "demo-app", "--patient", demo_people().patient)
    async with demo.server.client() as client:
        found = (await client.get("/AuditEvent?subtype=launch&_summary=count")).json()
    assert found["total"] >= 1


async def test_each_address_of_the_demo_allows_its_own_files_alone(demo: Demo) -> None:
    async with httpx.AsyncClient(base_url=demo.origin) as http:
        for path in ("/demo/", "/demo/launch", "/demo/callback", "/demo/ehr"):
            policy = (await http.get(path)).headers["content-security-policy"]
            told = dict(part.strip().split(" ", 1) for part in policy.split(";"))
            assert told["default-src"] == told["frame-ancestors"] == told["form-action"] == "'none'"
            assert {told["script-src"], told["connect-src"], told["style-src"]} == {"'self'"}
        assert (await http.get("/demo/__init__.py")).status_code == httpx.codes.NOT_FOUND
        assert (await http.get("/demo/../settings.py")).status_code == httpx.codes.NOT_FOUND
