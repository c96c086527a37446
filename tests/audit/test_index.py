"""The index of the ledger finds what an index of its AuditEvents would."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings

from audit.capabilities import SEARCHABLE, UNSEARCHABLE
from audit.index import INDEXED, PLAIN, entries_of, found_by, tokens_of
from audit.patterns import TARGETS_MAX
from audit.projection import Server, events_of
from audit.record import Record, Target
from fhir_server.r4.resource import Key, from_text
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from tests.audit.records import a_chain, a_record, records

SERVER = Server("https://this.example.net/fhir")


def extracted(record: Record) -> list[Entry]:
    """What this server's search makes of the events, as if they had been stored as resources."""
    return [
        extract(from_text(body), Key("AuditEvent", "id"), base_url=SERVER.base_url)
        for body in events_of(a_chain(record)[0], SERVER)
    ]


def answerable(entry: Entry) -> set[str]:
    """Without what is the same in each event of this server, and what cannot be searched."""
    return {
        token
        for token in entry.tokens
        if "this.example.net" not in token and ":text|" not in token and _parameter(token) not in UNSEARCHABLE
    }


def _parameter(token: str) -> str:
    return token.split("|")[1].partition(":")[0] if "|" in token else ""


def _of_client(record: Record) -> set[str]:
    """Our own addition: R4 has no way to find a client that is no Device on file."""
    client = (record.client or "").replace("|", "\\|")
    return {f"AuditEvent|agent|Device/{client}"} if record.client else set()


@given(records())
@settings(max_examples=150)
def test_each_entry_is_what_search_extracts_from_the_event(record: Record) -> None:
    entries, wanted = entries_of(record), extracted(record)
    assert len(entries) == len(wanted)
    for entry, expected in zip(entries, wanted, strict=True):
        assert set(entry.tokens) == answerable(expected) | _of_client(record)
        assert len(entry.tokens) == len(set(entry.tokens))
        assert entry.ranges == expected.ranges
        assert set(entry.patients) == set(expected.patients)
        assert entry.clinical_date == expected.clinical_date


@given(records())
@settings(max_examples=100)
def test_the_tokens_of_a_record_are_those_of_its_events_together(record: Record) -> None:
    indexed, plain = tokens_of(record)
    assert len({*indexed, *plain}) == len(indexed) + len(plain)
    together = {token for entry in entries_of(record) for token in entry.tokens} - {"AuditEvent"}
    assert {*indexed, *plain} == {token for token in together if found_by(token) == token}
    assert {found_by(token) for token in together} == {*indexed, *plain}
    assert {token.split("|")[1] for token in indexed} <= INDEXED
    assert {token.split("|")[1] for token in plain} <= PLAIN | {"agent:identifier", "entity:identifier"}


def test_every_parameter_of_r4_works_or_has_a_reason_why_not() -> None:
    assert SEARCHABLE.isdisjoint(UNSEARCHABLE)
    assert {*SEARCHABLE, *UNSEARCHABLE} == set(parameters_of("AuditEvent"))


def test_a_typical_read_costs_few_index_entries() -> None:
    indexed, _ = tokens_of(a_record())
    assert indexed == (
        "AuditEvent|patient|Patient/1",
        "AuditEvent|agent|Practitioner/7",
        "AuditEvent|agent|Device/ward-app",
        "AuditEvent|entity|Observation/5",
    )


def test_a_search_over_many_patients_is_one_record_and_as_many_entries() -> None:
    patients = tuple(str(number) for number in range(500))
    record = a_record(interaction="search-type", targets=(), patients=patients, query="Patient?active=true")
    assert [entry.patients for entry in entries_of(record)] == [(patient,) for patient in patients]
    indexed, _ = tokens_of(record)
    assert {f"AuditEvent|patient|Patient/{patient}" for patient in patients} <= set(indexed)


def test_the_event_of_one_patient_does_not_name_anothers_data() -> None:
    record = a_record(
        interaction="search-type",
        targets=(Target("Observation/1", 1), Target("Observation/2", 1)),
        patients=("1", "2"),
        query="Observation?code=x",
    )
    assert not any("Observation/" in token for token in tokens_of(record)[0])


def test_more_targets_than_the_limit_are_known_by_patient_and_query() -> None:
    targets = tuple(Target(f"Observation/{number}") for number in range(TARGETS_MAX + 1))
    assert len(tokens_of(a_record(targets=targets[1:]))[0]) == 3 + TARGETS_MAX
    assert len(tokens_of(a_record(targets=targets))[0]) == 3


def test_a_patients_own_request_is_among_their_events() -> None:
    """R4: `patient` is an agent or an entity that is a Patient."""
    record = a_record(user="Patient/9", targets=(Target("Observation/5"),))
    (entry,) = entries_of(record)
    assert entry.patients == ("1", "9")


def test_a_version_is_found_through_its_entity() -> None:
    assert found_by("AuditEvent|entity|Observation/5/_history/3") == "AuditEvent|entity|Observation/5"
    assert found_by("AuditEvent|patient|Patient/1") == "AuditEvent|patient|Patient/1"


def test_an_entity_that_is_a_patient_is_found_as_one() -> None:
    assert found_by("AuditEvent|entity|Patient/1") == "AuditEvent|patient|Patient/1"
    assert found_by("AuditEvent|entity|Patient/1/_history/2") == "AuditEvent|patient|Patient/1"
    elsewhere = "http://other.example/fhir/Patient/1"
    assert found_by(f"AuditEvent|entity|{elsewhere}") == f"AuditEvent|patient|{elsewhere}"


def test_the_documentation_speaks_of_each_parameter() -> None:
    page = (Path(__file__).parents[2] / "docs/audit.md").read_text(encoding="utf-8")
    assert [code for code in (*SEARCHABLE, *UNSEARCHABLE) if f"`{code}`" not in page] == []
