"""
Each capability that is listed, used; and nothing listed that is not.

The ids in brackets are those of requirements: D5, D7 and R346 to R371.

https://hl7.org/fhir/smart-app-launch/conformance.html#capabilities
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, get_args

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.r4.definitions import definitions
from fhir_server.smart.clients import Client, accepted
from fhir_server.smart.discovery import Capability
from tests.server.keeping import SYSTEM, state
from tests.server.launching import (
    AUTHORIZE,
    CATEGORY,
    EVERY,
    PASSWORD,
    TOKEN,
    a_person,
    add_app,
    ask,
    decided,
    given,
    launched,
    launching,
)
from tests.server.running import BASE, Server
from tests.smart.browsing import App, Form, told_to_app
from tests.smart.services import ASSERTION_TYPE, BackEnd, an_ec_key

PUBLIC = App("public")
CONFIDENTIAL = App("confidential", secret="s3cret-of-confidential")
LABORATORY, VITAL, OF_BOB = (frozenset((id,)) for id in ("ann-lab", "ann-vital", "bob-lab"))
Proof = Callable[[Server], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


async def discovered(server: Server) -> Mapping[str, Any]:
    async with server.bearing(None) as http:
        told: dict[str, Any] = (await http.get("/.well-known/smart-configuration")).json()
    return told


async def status(server: Server, told: Mapping[str, Any], path: str) -> int:
    async with server.bearing(told["access_token"]) as http:
        return (await http.get(path)).status_code


async def _launch_ehr(server: Server) -> None:
    made = await launched(server, PUBLIC, patient="ann")
    told = await given(server, PUBLIC, "dora", "launch patient/*.rs", launch=made)
    assert (told["patient"], told["scope"]) == ("ann", "launch patient/*.rs")


async def _launch_standalone(server: Server) -> None:
    told = await given(server, PUBLIC, "ann", "launch/patient patient/*.rs")
    assert await status(server, told, "/Patient/ann") == httpx.codes.OK


async def _authorize_post(server: Server) -> None:
    person = a_person(server)
    page = await person.posts(Form(AUTHORIZE, "post", list(PUBLIC.asks().items())))
    assert "code" in told_to_app(await person.allows(await person.logs_in(page, "ann", PASSWORD)))


async def _client_public(server: Server) -> None:
    code = told_to_app(await decided(server, PUBLIC, "ann", "patient/*.rs"))["code"]
    posted = PUBLIC.redeems(code)
    assert "auth" not in posted
    assert (await ask(server, **posted)).status_code == httpx.codes.OK


async def _client_confidential_symmetric(server: Server) -> None:
    code = told_to_app(await decided(server, CONFIDENTIAL, "ann", "patient/*.rs"))["code"]
    for app in (App("confidential", verifier=CONFIDENTIAL.verifier), App("confidential", secret="wrong")):
        assert (await ask(server, **app.redeems(code))).status_code == httpx.codes.UNAUTHORIZED
    assert (await ask(server, **CONFIDENTIAL.redeems(code))).status_code == httpx.codes.OK


async def _client_confidential_asymmetric(server: Server) -> None:
    now = server.services.clock()
    app, signer = App("signing"), BackEnd("signing", TOKEN, [an_ec_key("k")], int(now.timestamp()))
    client = Client("signing", "Signing", EVERY, signer.jwks, None, now, (app.redirect_uri,))
    assert await server.services.store.clients.register(accepted(client, definitions().resource_types))
    code = told_to_app(await decided(server, app, "ann", "patient/*.rs"))["code"]
    assert (await ask(server, **app.redeems(code))).status_code == httpx.codes.UNAUTHORIZED
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signer.assertion()}
    answer = await ask(server, **app.redeems(code, client_id=None, **proof))
    assert answer.status_code == httpx.codes.OK, answer.text


async def _sso_openid_connect(server: Server) -> None:
    told, found = await given(server, PUBLIC, "dora", "openid fhirUser"), await discovered(server)
    async with server.bearing(None) as http:
        keys = KeySet.import_key_set((await http.get(found["jwks_uri"])).json())
    claims = jwt.decode(told["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["fhirUser"]) == (found["issuer"], f"{BASE}/Practitioner/dora")


def _of_launch(name: str, value: object, scope: str = "launch user/*.rs") -> Proof:
    async def proof(server: Server) -> None:
        made = await launched(server, PUBLIC, **{"patient": "ann", name: value})
        assert (await given(server, PUBLIC, "dora", scope, launch=made))[name] == value

    return proof


async def _context_standalone_patient(server: Server) -> None:
    for name in ("ann", "dora"):
        assert (await given(server, PUBLIC, name, "launch/patient user/*.rs"))["patient"] == "ann"


def _refreshed_by(scope: str) -> Proof:
    async def proof(server: Server) -> None:
        made = await launched(server, PUBLIC, patient="ann")
        told = await given(server, PUBLIC, "dora", f"launch patient/*.rs {scope}", launch=made)
        again = await ask(server, **PUBLIC.refreshes(told["refresh_token"]))
        assert await status(server, again.json(), "/Patient/ann") == httpx.codes.OK

    return proof


def _granted_to(name: str, scope: str, found: frozenset[str]) -> Proof:
    async def proof(server: Server) -> None:
        told = await given(server, PUBLIC, name, scope)
        assert told["scope"] == scope
        async with server.bearing(told["access_token"]) as http:
            entries = (await http.get("/Observation")).json()["entry"]
        assert {entry["resource"]["id"] for entry in entries} == found

    return proof


async def _smart_app_state(server: Server) -> None:
    app = App("growth")
    await add_app(server, app, state_codes=(f"{SYSTEM}|prefs",))
    told = await given(server, app, "dora", "user/Basic.cruds")
    kept = state("prefs", f"{BASE}/Practitioner/dora")
    async with server.bearing(told["access_token"]) as http:
        made = (await http.post("/Basic", json=kept)).json()
        changed = {**made, "extension": [{"url": f"{SYSTEM}/value", "valueString": "red"}]}
        for version, expected in (('W/"1"', httpx.codes.OK), ('W/"1"', httpx.codes.PRECONDITION_FAILED)):
            answer = await http.put(f"/Basic/{made['id']}", json=changed, headers={"If-Match": version})
            assert answer.status_code == expected


PROOFS: Final[Mapping[Capability, Proof]] = {
    "launch-ehr": _launch_ehr,
    "launch-standalone": _launch_standalone,
    "authorize-post": _authorize_post,
    "client-public": _client_public,
    "client-confidential-symmetric": _client_confidential_symmetric,
    "client-confidential-asymmetric": _client_confidential_asymmetric,
    "sso-openid-connect": _sso_openid_connect,
    "context-banner": _of_launch("need_patient_banner", False),
    "context-style": _of_launch("smart_style_url", "https://ehr.example/style.json"),
    "context-ehr-patient": _of_launch("patient", "ann", "launch launch/patient patient/*.rs"),
    "context-ehr-encounter": _of_launch("encounter", "ann-visit", "launch launch/encounter user/*.rs"),
    "context-standalone-patient": _context_standalone_patient,
    "permission-offline": _refreshed_by("offline_access"),
    "permission-online": _refreshed_by("online_access"),
    "permission-patient": _granted_to("ann", "patient/Observation.rs", LABORATORY | VITAL),
    "permission-user": _granted_to("dora", "user/Observation.rs", LABORATORY | VITAL | OF_BOB),
    "permission-v1": _granted_to("ann", "patient/Observation.read", LABORATORY | VITAL),
    "permission-v2": _granted_to("ann", f"patient/Observation.rs?category={CATEGORY}|vital-signs", VITAL),
    "smart-app-state": _smart_app_state,
}


async def test_nothing_is_listed_without_a_proof(server: Server) -> None:
    """[D7, R364, R393]: a launch by itself chooses no encounter, and that is not listed."""
    listed = (await discovered(server))["capabilities"]
    assert len(listed) == len(set(listed))
    assert set(listed) == PROOFS.keys()
    assert set(get_args(Capability)) - set(listed) == {"context-standalone-encounter"}


@pytest.mark.parametrize("capability", PROOFS)
async def test_a_capability_is_used(server: Server, capability: Capability) -> None:
    """[D7, R352-R363, R365-R371]"""
    await PROOFS[capability](server)


CLIENTS: Final = frozenset(("client-public", "client-confidential-symmetric"))
SETS: Final[Mapping[str, tuple[frozenset[str], str, str, bool]]] = {
    "patient access for standalone apps": (
        frozenset(("launch-standalone", "context-standalone-patient", "permission-patient")),
        "ann",
        "launch/patient patient/*.rs",
        False,
    ),
    "patient access for EHR launch": (
        frozenset(("launch-ehr", "context-ehr-patient", "permission-patient")),
        "ann",
        "launch patient/*.rs",
        True,
    ),
    "clinician access for standalone": (
        frozenset(("launch-standalone", "permission-user", "permission-patient")),
        "dora",
        "launch/patient patient/*.rs user/*.rs",
        False,
    ),
    "clinician access for EHR launch": (
        frozenset(
            (
                "launch-ehr",
                "context-ehr-patient",
                "context-ehr-encounter",
                "permission-user",
                "permission-patient",
            )
        ),
        "dora",
        "launch launch/encounter patient/*.rs user/*.rs",
        True,
    ),
}
"""What it takes, who asks, and for what: https://hl7.org/fhir/smart-app-launch/conformance.html#capability-sets"""


@pytest.mark.parametrize("app", [PUBLIC, CONFIDENTIAL], ids=["public", "confidential"])
@pytest.mark.parametrize("name", SETS)
async def test_each_set_of_capabilities_is_whole(server: Server, name: str, app: App) -> None:
    """[D7, R346, R348-R351]"""
    capabilities, user, scope, by_ehr = SETS[name]
    assert capabilities | CLIENTS <= set((await discovered(server))["capabilities"])
    asked: dict[str, str | None] = {}
    if by_ehr:
        asked["launch"] = await launched(server, app, patient="ann", encounter="ann-visit")
    told = await given(server, app, user, scope, **asked)
    assert set(told["scope"].split(" ")) == set(scope.split(" "))
    assert (told["patient"], told.get("encounter")) == ("ann", "ann-visit" if by_ehr else None)
    others = httpx.codes.OK if "user/" in scope else httpx.codes.NOT_FOUND
    assert await status(server, told, "/Patient/bob") == others


async def test_each_scope_that_is_listed_is_granted(server: Server) -> None:
    """[D5, D7, R389]"""
    found = await discovered(server)
    people = {scope for scope in found["scopes_supported"] if not scope.startswith("system/")}
    made = await launched(server, PUBLIC, patient="ann", encounter="ann-visit")
    told = await given(server, PUBLIC, "dora", " ".join(sorted(people)), launch=made)
    assert set(told["scope"].split(" ")) == people
