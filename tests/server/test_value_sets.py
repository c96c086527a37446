"""`:in`, `:not-in`, `:above` and `:below` over HTTP: https://hl7.org/fhir/R4/search.html#token"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.databases import a_database
from tests.server.hiding import a_consent
from tests.server.running import BASE, Server, a_patient, an_observation, issues_of, serving
from tests.server.ward import an_encounter, coded, found
from tests.terminology.resources import a_code_system, a_concept, a_filter, a_value_set, of_system

S: Final = "http://a.example/s"
UNKNOWN: Final = "http://b.example/unknown"
ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
R4: Final = "http://hl7.org/fhir"
GENDER: Final = f"{R4}/ValueSet/administrative-gender"
VS: Final = "http://a.example/vs"


def seen(id: str, *codes: str, system: str = S, **stated: Any) -> dict[str, Any]:
    return an_observation("ann", id=id, code=coded(*codes, system=system), **stated)


TREE: Final = a_code_system(
    a_concept("heart", a_concept("rate", a_concept("resting")), a_concept("rhythm")),
    a_concept("lung", a_concept("breath")),
    a_concept("group", a_concept("other"), notSelectable=[True]),
    id="tree",
    version="1",
)

DEFINED: Final[Sequence[dict[str, Any]]] = (
    TREE,
    a_code_system(a_concept("x", a_concept("y")), id="parts", url=f"{S}-parts", hierarchyMeaning="part-of"),
    a_code_system(a_concept("x"), id="piece", url=f"{S}-piece", content="fragment"),
    a_value_set(of_system("rate", "rhythm"), id="named", url=f"{VS}-named"),
    a_value_set(of_system(filter=[a_filter("is-a", "heart")]), id="under", url=f"{VS}-under"),
    a_value_set(
        {"valueSet": [f"{VS}-under"]}, exclude=(of_system("resting"),), id="imports", url=f"{VS}-imports"
    ),
    a_value_set({"system": UNKNOWN}, id="whatever", url=f"{VS}-whatever"),
    a_value_set(of_system(filter=[a_filter("is-a", "1")], system=UNKNOWN), id="lost", url=f"{VS}-lost"),
    a_value_set(of_system(filter=[a_filter("regex", "(a+)+")]), id="regex", url=f"{VS}-regex"),
    a_value_set({"valueSet": [f"{VS}-circle"]}, id="circle", url=f"{VS}-circle"),
    a_value_set(of_system("lung"), id="v1", url=f"{VS}-versions", version="1"),
    a_value_set(of_system("rate"), id="v2", url=f"{VS}-versions", version="10"),
    a_value_set(of_system("breath"), id="v3", url=f"{VS}-versions", version="9"),
    {
        "resourceType": "ValueSet",
        "id": "expanded",
        "url": f"{VS}-expanded",
        "status": "active",
        "expansion": {
            "timestamp": "2024-01-01",
            "contains": [
                {"system": S, "code": "heart", "abstract": True, "contains": [{"system": S, "code": "rate"}]}
            ],
        },
    },
)

WARD: Final[Sequence[dict[str, Any]]] = (
    a_patient(id="ann", gender="female"),
    a_patient(id="bob"),
    seen("heart", "heart"),
    seen("rate", "rate"),
    seen("resting", "resting"),
    seen("rhythm", "rhythm"),
    seen("breath", "breath"),
    seen("two", "lung", "rate"),
    seen("elsewhere", "rate", system=UNKNOWN),
    an_observation("ann", id="words", code={"text": "rate"}),
    an_observation("bob", id="amended", status="amended", code=coded("z", system=S)),
    an_observation("bob", id="corrected", status="corrected", code=coded("z", system=S)),
    an_encounter("in", "ann", **{"class": {"system": ACT, "code": "ACUTE"}}),
    an_encounter("out", "bob"),
)

HEART: Final = {"heart", "rate", "resting", "rhythm", "two"}


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="server")
async def a_server_with_codes(
    mongodb_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """One for all tests of this file; what a test writes it takes away, or a consent hides it."""
    folder = tmp_path_factory.mktemp("data")
    async with a_database(mongodb_url) as name, serving(mongodb_url, name, folder) as server:
        async with server.as_() as client:
            for resource in (*DEFINED, *WARD):
                written = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
                assert written.status_code == 201, written.text
        yield server


@pytest_asyncio.fixture(loop_scope="session", name="client")
async def a_client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.as_() as client:
        yield client


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (f"Observation?code:in={VS}-named", {"rate", "rhythm", "two"}),
        ("Observation?code:in=ValueSet/named", {"rate", "rhythm", "two"}),
        (f"Observation?code:in={BASE}/ValueSet/named", {"rate", "rhythm", "two"}),
        (f"Observation?code:in={VS}-under", HEART),
        (f"Observation?code:in={VS}-imports", HEART - {"resting"}),
        (f"Observation?code:in={VS}-expanded", {"rate", "two"}),
        (f"Observation?code:in={VS}-whatever", {"elsewhere"}),
        (f"Observation?code:in={VS}-whatever,{VS}-expanded", {"elsewhere", "rate", "two"}),
        (f"Observation?code:in={VS}-under&code:in={VS}-named", {"rate", "rhythm", "two"}),
        (f"Observation?code:in={VS}-versions", {"rate", "two"}),
        (f"Observation?code:in={VS}-versions|1", {"two"}),
        (f"Observation?code:in={VS}-versions\\|9", {"breath"}),
        (f"Observation?code:in={VS}-under&_summary=true&_sort=-_lastUpdated", HEART),
        (f"Observation?combo-code:in={VS}-named", {"rate", "rhythm", "two"}),
        (
            f"Observation?code:not-in={VS}-under",
            {"breath", "elsewhere", "words", "amended", "corrected"},
        ),
        (f"Observation?code:not-in={VS}-under,{VS}-whatever", {"breath", "words", "amended", "corrected"}),
        (f"Observation?combo-code:not-in={VS}-under&patient=ann", {"breath", "elsewhere", "words"}),
        (f"Observation?code:below={S}|heart", HEART),
        (f"Observation?code:below={S}|resting", {"resting"}),
        (f"Observation?code:above={S}|resting", {"resting", "rate", "heart", "two"}),
        (f"Observation?code:above={S}|resting,{S}|breath", {"resting", "rate", "heart", "two", "breath"}),
        # Elements of type code have the system of their binding.
        (f"Observation?status:below={R4}/observation-status|amended", {"amended", "corrected"}),
        ("Observation?status:below=amended", {"amended", "corrected"}),
        ("Observation?status:above=corrected", {"amended", "corrected"}),
        (f"Observation?status:in={R4}/ValueSet/observation-status&patient=bob", {"amended", "corrected"}),
        (f"Observation?status:not-in={R4}/ValueSet/observation-status|4.0.1", set()),
        (f"Patient?gender:in={GENDER}", {"ann"}),
        (f"Patient?gender:not-in={GENDER}", {"bob"}),
        (f"Patient?gender:in={VS}-named", set()),
        (f"Encounter?class:below={ACT}|IMP", {"in"}),
        ("Encounter?class:in=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", {"in", "out"}),
        # Along chains, and with several types.
        (f"Patient?_has:Observation:patient:code:in={VS}-named", {"ann"}),
        ("Patient?_has:Observation:patient:status:below=amended", {"bob"}),
        (
            f"Observation?patient.gender:in={GENDER}&code:in={VS}-expanded",
            {"rate", "two"},
        ),
        (f"Patient/ann/Observation?code:below={S}|rate", {"rate", "resting", "two"}),
        (f"?_type=Observation,Encounter&_security:in={VS}-named", set()),
    ],
)
async def test_what_codes_mean_is_asked(client: httpx.AsyncClient, address: str, expected: set[str]) -> None:
    assert await found(client, f"/{address}{'&' if '?' in address else '?'}_count=1000") == expected


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("code:in=http://a.example/nowhere", 400, "not known"),
        ("code:not-in=http://a.example/nowhere", 400, "not known"),
        ("code:in=ValueSet/nowhere", 400, "not known"),
        ("code:in=ValueSet/a b", 400, "not known"),
        ("code:in=CodeSystem/tree", 400, "not known"),
        (f"code:in={VS}-versions|7", 400, "not known"),
        (f"code:in={VS}-under,", 400, "empty"),
        (f"code:in={VS}-lost", 501, "not here as a whole"),
        (f"code:in={VS}-regex", 501, "`regex`"),
        (f"code:in={VS}-circle", 501, "includes itself"),
        (f"code:not-in={VS}-circle", 501, "includes itself"),
        (f"code:below={UNKNOWN}|1", 501, "not here as a whole"),
        (f"code:above={S}-piece|x", 501, "not here as a whole"),
        (f"code:below={S}-parts|x", 501, "`part-of`"),
        (f"code:below={S}|nothing", 400, "no such code"),
        ("code:below=heart", 400, "`system|code`"),
        ("code:below=|heart", 400, "`system|code`"),
        (f"code:above={S}|", 400, "`system|code`"),
        (f"identifier:in={VS}-named", 400, "not supported"),
        ("subject:below=Patient/1", 400, "not supported"),
        (f"patient.active:in={VS}-named", 400, "not supported"),
        (f"code-value-concept:in={VS}-named$1", 400, ""),
        ("patient.gender:in=http://a.example/nowhere", 400, "not known"),
    ],
)
async def test_what_cannot_be_told_is_refused_with_the_reason(
    client: httpx.AsyncClient, query: str, status: int, told: str
) -> None:
    refused = await client.get(f"/Observation?{query}", headers={"Prefer": "handling=lenient"})
    assert refused.status_code == status, refused.text
    issue = issues_of(refused)[0]["diagnostics"]
    name = query.partition("=")[0].rpartition(".")[2]
    assert name.partition(":")[0] in issue
    assert told in issue
    assert "nowhere" not in issue


async def test_a_write_is_seen_at_once(client: httpx.AsyncClient) -> None:
    query = f"/Observation?code:in={VS}-brief"
    for code in ("rhythm", "breath"):
        await client.put("/ValueSet/brief", json=a_value_set(of_system(code), id="brief", url=f"{VS}-brief"))
        assert await found(client, query) == {code}
    await client.delete("/ValueSet/brief")
    assert (await client.get(query)).status_code == 400


async def test_a_stored_definition_comes_before_r4s_own(client: httpx.AsyncClient) -> None:
    male = of_system("male", system=f"{R4}/administrative-gender")
    own = a_value_set(male, id="gender", url=GENDER, version="5")
    await client.put("/ValueSet/gender", json=own)
    assert await found(client, f"/Patient?gender:in={GENDER}") == set()
    assert await found(client, f"/Patient?gender:in={GENDER}|4.0.1") == {"ann"}
    await client.delete("/ValueSet/gender")


async def test_each_page_goes_on_with_the_same_question(client: httpx.AsyncClient) -> None:
    for order in ("", "&_sort=-_lastUpdated", "&_sort=status"):
        address, ids = f"/Observation?code:in={VS}-under&_count=2{order}", []
        while address:
            page = (await client.get(address)).json()
            ids += [entry["resource"]["id"] for entry in page.get("entry", ())]
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
        assert sorted(ids) == sorted(HEART)


@pytest.mark.parametrize(
    ("scope", "query", "expected"),
    [
        # A stored value set takes `r` or `s` on ValueSet, and on CodeSystem where it depends on one.
        ("system/Observation.rs", f"code:in={VS}-named", 403),
        ("system/Observation.rs system/ValueSet.r", f"code:in={VS}-named", {"rate", "rhythm", "two"}),
        ("system/Observation.rs system/ValueSet.s", f"code:in={VS}-named", {"rate", "rhythm", "two"}),
        ("system/Observation.rs system/ValueSet.s", f"code:in={VS}-under", 403),
        ("system/Observation.rs system/ValueSet.s system/CodeSystem.r", f"code:in={VS}-under", HEART),
        ("system/Observation.rs", f"code:below={S}|heart", 403),
        ("system/Observation.rs system/CodeSystem.s", f"code:below={S}|heart", HEART),
        # R4's own take none.
        ("system/Observation.rs", "status:below=amended", {"amended", "corrected"}),
        ("system/Observation.rs", f"status:not-in={R4}/ValueSet/observation-status", set()),
        # Writing is not reading.
        ("system/Observation.rs system/ValueSet.cud", f"code:in={VS}-named", 403),
    ],
)
async def test_a_definition_is_read_within_the_callers_scopes(
    client: httpx.AsyncClient, server: Server, scope: str, query: str, expected: set[str] | int
) -> None:
    async with server.as_(scope) as confined:
        if isinstance(expected, int):
            refused = await confined.get(f"/Observation?{query}")
            assert refused.status_code == expected, refused.text
            assert query.partition("=")[0] in issues_of(refused)[0]["diagnostics"]
        else:
            assert await found(confined, f"/Observation?{query}") == expected


async def test_a_value_set_shows_nothing_that_the_caller_may_not_see(
    client: httpx.AsyncClient, server: Server
) -> None:
    (await client.put("/Patient/cleo", json=a_patient(id="cleo"))).raise_for_status()
    hidden = an_observation("cleo", id="hidden", code=coded("rate", system=S))
    (await client.put("/Observation/hidden", json=hidden)).raise_for_status()
    (await client.put("/Consent/c", json=a_consent("cleo", "c", {"type": "deny"}))).raise_for_status()
    async with server.as_("user/*.rs", user="Practitioner/7", purpose="TREAT") as doctor:
        assert await found(doctor, f"/Observation?code:in={VS}-named") == {"rate", "rhythm", "two"}
        assert "hidden" not in await found(doctor, f"/Observation?code:not-in={VS}-whatever")
    async with server.as_("patient/Observation.rs patient/ValueSet.rs", patient="bob") as bob:
        assert await found(bob, f"/Observation?code:in={VS}-named") == set()
        assert await found(bob, f"/Observation?code:not-in={VS}-named") == {"amended", "corrected"}


async def test_events_are_asked_by_value_sets_too(client: httpx.AsyncClient) -> None:
    await client.get("/Patient/ann")
    actions = f"{R4}/ValueSet/audit-event-action"
    kinds = a_value_set(of_system("read", system=f"{R4}/restful-interaction"), id="reads", url=f"{VS}-reads")
    await client.put("/ValueSet/reads", json=kinds)
    read = {
        entry["resource"]["id"]
        for entry in (await client.get("/AuditEvent?subtype=read&_count=1000")).json()["entry"]
    }
    assert await found(client, f"/AuditEvent?subtype:in={VS}-reads&_count=1000") == read
    assert not await found(client, f"/AuditEvent?subtype:in={VS}-reads&subtype:not-in={VS}-reads")
    assert await found(client, f"/AuditEvent?action:in={actions}&_count=1000") > read


async def test_the_criteria_of_a_conditional_interaction_ask_for_codes_alone(
    client: httpx.AsyncClient,
) -> None:
    for criteria in (f"code:in={VS}-named", f"status=final&code:not-in={VS}-named", f"code:below={S}|rate"):
        refused = await client.delete(f"/Observation?{criteria}")
        assert refused.status_code == 501, refused.text


async def test_too_many_codes_and_too_many_definitions_are_refused(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, expansion_codes_max=5) as server,
        server.as_() as client,
    ):
        listed = {n: a_value_set(of_system(*"abcdef"[:n]), id=f"n{n}", url=f"{VS}-{n}") for n in (3, 5, 6)}
        many = a_value_set({"valueSet": [f"{VS}-many"] * 2}, url=f"{VS}-many", id="m")
        for one in (*listed.values(), many):
            (await client.put(f"/ValueSet/{one['id']}", json=one)).raise_for_status()
        allowed = await client.get(f"/Observation?code:in={VS}-5")
        too_many = await client.get(f"/Observation?code:in={VS}-6")
        together = await client.get(f"/Observation?code:in={VS}-3&category:in={VS}-3")
        for n in range(101):
            chain = a_value_set({"valueSet": [f"{VS}-c{n + 1}"]}, url=f"{VS}-c{n}", id=f"c{n}")
            (await client.put(f"/ValueSet/c{n}", json=chain)).raise_for_status()
        deep = await client.get(f"/Observation?code:in={VS}-c0")
    assert allowed.status_code == 200
    for refused in (too_many, together, deep):
        assert refused.status_code == 403, refused.text
        assert issues_of(refused)[0]["code"] == "too-costly"


async def test_an_operator_sees_what_it_cost(client: httpx.AsyncClient) -> None:
    plan = (await client.get(f"/Observation?code:in={VS}-under&_explain=true")).json()
    names = [
        part["valueCode"]
        for stage in plan["parameter"]
        if stage["name"] == "stage"
        for part in stage["part"]
        if part["name"] == "name"
    ]
    assert names == ["terms", "page"]
    assert "a.example" not in str(plan)
