"""AuditEvents: valid R4, BALP where they say so, and the same every time."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given, settings

from audit.patterns import TARGETS_MAX
from audit.projection import Place, Server, event, event_count, events_of, place_of
from audit.record import Record, Target
from fhir_server.r4.resource import from_text
from fhir_server.r4.validation import validate
from tests.audit.records import a_chain, a_record, records

SERVER = Server("https://fhir.example.net/fhir")
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

Json = dict[str, Any]


def projected(record: Record) -> list[Json]:
    return [json.loads(body) for body in events_of(a_chain(record)[0], SERVER)]


def the_event(**given_members: Any) -> Json:
    (only,) = projected(a_record(**given_members))
    return only


def codes(codings: list[Json]) -> list[str]:
    return [coding["code"] for coding in codings]


def entities(found: Json, type: str) -> list[Json]:
    return [entity for entity in found["entity"] if entity["type"]["code"] == type]


def agent(found: Json, index: int) -> Json:
    """0 the client, 1 the server, 2 the user."""
    return dict(found["agent"][index])


@given(records())
@settings(max_examples=100)
def test_each_event_is_valid_r4(record: Record) -> None:
    for body in events_of(a_chain(record)[0], SERVER):
        assert validate(from_text(body), expected_type="AuditEvent") == ()


@given(records())
@settings(max_examples=15)
def test_a_second_opinion_finds_each_event_valid(record: Record) -> None:
    """fhir.resources has R4B, whose AuditEvent is R4's."""
    for body in events_of(a_chain(record)[0], SERVER):
        AuditEvent.model_validate_json(body)


@given(records())
@settings(max_examples=50)
def test_one_event_for_each_patient_and_the_same_every_time(record: Record) -> None:
    link = a_chain(record)[0]
    bodies = events_of(link, SERVER)
    assert bodies == events_of(link, SERVER)
    found = [json.loads(body) for body in bodies]
    assert len(found) == event_count(record) == max(1, len(record.patients))
    assert [[entity["what"]["reference"] for entity in entities(each, "1")] for each in found] == (
        [[f"Patient/{patient}"] for patient in record.patients] or [[]]
    )
    for n, each in enumerate(found):
        assert place_of(each["id"]) == Place("node-1", 1, n)


# BALP's slices by interaction: type of client, of server, of user; what the object is.
# https://profiles.ihe.net/ITI/BALP/artifacts.html
BALP_TABLE = [
    ("create", "Create", "C", "110153", "110152", "AUT"),
    ("read", "Read", "R", "110152", "110153", "IRCP"),
    ("vread", "Read", "R", "110152", "110153", "IRCP"),
    ("update", "Update", "U", "110153", "110152", "AUT"),
    ("patch", "Update", "U", "110153", "110152", "AUT"),
    ("delete", "Delete", "D", "110150", "custodian", "AUT"),
    ("search-type", "Query", "E", "110153", "110152", "IRCP"),
    ("search-system", "Query", "E", "110153", "110152", "IRCP"),
]


@pytest.mark.parametrize(("interaction", "profile", "action", "client", "server", "user"), BALP_TABLE)
@pytest.mark.parametrize("patients", [(), ("1",)])
def test_a_success_conforms_to_its_balp_profile(
    interaction: str,
    profile: str,
    action: str,
    client: str,
    server: str,
    user: str,
    patients: tuple[str, ...],
) -> None:
    query = "Observation?code=8867-4" if profile == "Query" else None
    found = the_event(interaction=interaction, patients=patients, query=query)
    assert BALP + ("Patient" if patients else "") + profile in found["meta"]["profile"]
    assert found["type"]["code"] == "rest"
    assert codes(found["subtype"]) == [interaction]
    assert found["action"] == action
    assert found["outcome"] == "0"
    assert [codes(each["type"]["coding"])[0] for each in found["agent"]] == [client, server, user]
    assert all("who" in each and "media" not in each for each in found["agent"])
    assert [("network" in each) for each in found["agent"]] == [True, True, False]
    assert [each["requestor"] for each in found["agent"]] == [False, False, True]
    (thing,) = entities(found, "2")
    if profile == "Query":
        assert thing["role"]["code"] == "24"
        assert b64decode(thing["query"]).decode() == query
        assert thing.keys() == {"type", "role", "query"}
    else:
        assert thing["role"]["code"] == "4"
        assert thing["what"]["reference"] == "Observation/5/_history/3"
    (request,) = entities(found, "XrequestId")
    assert request["what"]["identifier"]["value"] == "request-1"
    assert [each["role"]["code"] for each in entities(found, "1")] == ["1"] * len(patients)


def test_the_token_is_named_as_balp_minimal_has_it() -> None:
    found = the_event()
    assert BALP + "OAUTHaccessTokenUse.Minimal" in found["meta"]["profile"]
    assert "UserOauthAgent" in codes(agent(found, 2)["type"]["coding"])
    assert agent(found, 2)["policy"] == ["urn:ietf:params:oauth:jti:token-1"]


def test_a_token_id_of_any_characters_is_a_uri() -> None:
    assert agent(the_event(token_id="a b/é"), 2)["policy"] == ["urn:ietf:params:oauth:jti:a%20b%2F%C3%A9"]


def test_a_system_asks_for_itself() -> None:
    found = the_event(user=None, subject="ward-app")
    assert len(found["agent"]) == 2
    assert agent(found, 0)["requestor"] is True
    assert agent(found, 0)["who"] == {"type": "Device", "identifier": {"value": "ward-app"}}
    assert agent(found, 0)["policy"] == ["urn:ietf:params:oauth:jti:token-1"]


def test_a_user_without_a_reference_is_known_by_the_subject() -> None:
    found = the_event(user=None)
    assert agent(found, 2)["who"] == {"identifier": {"value": "user-7"}}
    assert agent(found, 2)["altId"] == "user-7"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", {"address": "192.0.2.7", "type": "2"}),
        ("2001:db8::1", {"address": "2001:db8::1", "type": "2"}),
        ("ward-3", {"address": "ward-3", "type": "1"}),
        ("", None),
    ],
)
def test_the_network_is_where_the_client_called_from(address: str, network: Json | None) -> None:
    assert agent(the_event(address=address), 0).get("network") == network


def test_the_purpose_is_that_of_the_event_and_of_its_user() -> None:
    found = the_event(purpose="BTG")
    wanted = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG"}]}]
    assert found["purposeOfEvent"] == wanted
    assert agent(found, 2)["purposeOfUse"] == wanted


@pytest.mark.parametrize(
    ("outcome", "status", "code"), [("refused", 403, "4"), ("refused", 404, "4"), ("failed", 503, "8")]
)
def test_a_refusal_says_why_and_claims_no_profile_of_a_success(outcome: str, status: int, code: str) -> None:
    found = the_event(outcome=outcome, status=status, reason="Forbidden\n")
    assert found["outcome"] == code
    assert found["outcomeDesc"] == f"HTTP {status}: Forbidden "
    assert "profile" not in found["meta"]
    assert codes(found["subtype"]) == ["read"]


def test_a_success_has_no_outcome_description() -> None:
    assert "outcomeDesc" not in the_event()


def test_a_caller_who_is_not_known_is_a_failed_login() -> None:
    found = the_event(outcome="refused", status=401, client=None, subject=None, user=None, token_id=None)
    assert found["type"]["code"] == "110114"
    assert codes(found["subtype"]) == ["read", "110122"]
    assert "who" not in agent(found, 0)
    assert agent(found, 0)["network"]["address"] == "192.0.2.7"


def test_calls_counted_together_are_an_alert_with_their_number() -> None:
    found = the_event(outcome="refused", status=401, client=None, reason="Unauthenticated", count=37)
    assert found["type"]["code"] == "110113"
    assert found["outcomeDesc"] == "HTTP 401: Unauthenticated (37 calls counted together)"


@pytest.mark.parametrize(
    ("interaction", "subtype", "action"),
    [
        ("history-instance", ["history-instance"], "R"),
        ("history-type", ["history-type"], "R"),
        ("history-system", ["history-system"], "R"),
        ("batch", ["batch"], "E"),
        ("transaction", ["transaction"], "E"),
        ("$everything", ["operation", "$everything"], "E"),
        ("something-else", ["something-else"], "E"),
    ],
)
def test_what_balp_does_not_describe_has_the_nearest_shape(
    interaction: str, subtype: list[str], action: str
) -> None:
    found = the_event(interaction=interaction)
    assert codes(found["subtype"]) == subtype
    assert found["action"] == action
    assert found["meta"].get("profile") == [BALP + "OAUTHaccessTokenUse.Minimal"]


@pytest.mark.parametrize(
    ("interaction", "type", "subtype", "action"),
    [
        ("login", "110114", ["110122"], "E"),
        ("logout", "110114", ["110123"], "E"),
        ("authorize", "110114", ["110122", "authorize"], "E"),
        ("token", "110114", ["110122", "token"], "E"),
        ("revocation", "110114", ["110123", "revocation"], "E"),
        ("introspection", "rest", ["introspection"], "E"),
        ("userinfo", "rest", ["userinfo"], "E"),
        ("launch", "rest", ["launch"], "E"),
        ("user-add", "110113", ["110137", "user-add"], "C"),
        ("user-remove", "110113", ["110137", "user-remove"], "D"),
        ("client-register", "110113", ["110129", "client-register"], "C"),
        ("keys-rotate", "110113", ["110129", "keys-rotate"], "U"),
    ],
)
def test_who_gets_in_and_who_may_is_told_in_the_words_of_dicom(
    interaction: str, type: str, subtype: list[str], action: str
) -> None:
    """https://hl7.org/fhir/R4/valueset-audit-event-sub-type.html"""
    found = the_event(interaction=interaction, targets=(), patients=())
    assert found["type"]["code"] == type
    assert codes(found["subtype"]) == subtype
    assert found["action"] == action


def test_a_refused_login_is_one_login() -> None:
    found = the_event(interaction="login", outcome="refused", status=401, reason="wrong password")
    assert codes(found["subtype"]) == ["110122"]
    assert found["type"]["code"] == "110114"


def test_beside_a_query_its_results_are_typed_by_resource() -> None:
    """BALP keeps `System Object` for the query, once."""
    found = the_event(interaction="search-type", query="Observation?code=x")
    assert [each["what"]["reference"] for each in entities(found, "Observation")] == [
        "Observation/5/_history/3"
    ]
    assert BALP + "PatientQuery" in found["meta"]["profile"]


def test_the_event_of_one_patient_does_not_name_anothers_data() -> None:
    targets = (Target("Observation/1", 1), Target("Observation/2", 1))
    found = projected(a_record(interaction="search-type", targets=targets, patients=("1", "2"), query="x=y"))
    assert [json.dumps(each).count("Observation/") for each in found] == [0, 0]
    assert [json.dumps(each).count("Patient/2") for each in found] == [0, 1]


def test_more_targets_than_the_limit_are_not_listed() -> None:
    targets = tuple(Target(f"Observation/{number}") for number in range(TARGETS_MAX + 1))
    assert len(entities(the_event(targets=targets[1:]), "2")) == TARGETS_MAX
    assert entities(the_event(targets=targets), "2") == []


def test_control_characters_of_a_caller_do_not_get_into_an_event() -> None:
    found = the_event(client="a\x00b", subject="\x1b", request_id="1\n2")
    assert agent(found, 0)["altId"] == "a b"
    assert entities(found, "XrequestId")[0]["what"]["identifier"]["value"] == "1 2"


def test_an_event_says_which_server_wrote_it() -> None:
    found = the_event()
    assert found["source"]["site"] == "fhir.example.net"
    assert found["source"]["observer"]["identifier"]["value"] == SERVER.base_url
    assert agent(found, 1)["network"] == {"address": SERVER.base_url, "type": "5"}


def test_an_id_has_one_way_to_be_written() -> None:
    place = Place("node-1", 12, 3)
    assert str(place) == "node-1.12.3"
    assert place_of("node-1.12.3") == place
    for other in (
        "",
        "1",
        "a.b",
        "a.0.0",
        "a.01.0",
        "a.1.00",
        "a.1.-1",
        "a.1.0.0",
        "a/1.1.0",
        f"{'a' * 37}.1.0",
    ):
        assert place_of(other) is None


def test_the_longest_id_is_one_of_fhir() -> None:
    assert len(str(Place("a" * 36, 10**18 - 1, 10**8 - 1))) == 64


def test_a_record_has_no_more_events_than_patients() -> None:
    for n in (-1, 1):
        with pytest.raises(IndexError):
            event(a_record(), Place("node-1", 1, n), SERVER)
