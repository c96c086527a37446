"""What a record says of an interaction that did not succeed."""

from __future__ import annotations

from audit.record import Target
from fhir_server.pipeline.trail import Trail
from fhir_server.r4.errors import NotFound, Unavailable, VersionConflict
from fhir_server.r4.interaction import Create, Read, Update
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller, Contact
from tests.store.versions import MORNING

PATIENT = Key("Patient", "1")
VERSION = Version(PATIENT, 6, MORNING, b"{}", Entry(patients=("1",)), "")


def a_trail(interaction: Create | Read | Update) -> Trail:
    caller = Caller("test", "test", (), None, None, "TREAT", "t", 0)
    return Trail(interaction, caller, Contact("request", "127.0.0.1"))


def test_a_write_that_was_given_up_names_no_version_that_it_meant_to_write() -> None:
    for interaction in (Update(PATIENT, {}, "5"), Create("Patient", {})):
        trail = a_trail(interaction)
        # An attempt that lost its race had judged that it would leave version 6.
        trail.shows((VERSION,))
        for record in (
            trail.refused(VersionConflict("If-Match names version 5"), MORNING),
            trail.refused(Unavailable("away"), MORNING),
            trail.failed("KeyError", MORNING),
        ):
            assert record.targets == (Target("Patient/1"),)
            assert record.patients == ("1",)
        assert trail.succeeded(200, MORNING).targets == (Target("Patient/1", 6),)


def test_a_read_that_was_refused_names_the_version_that_was_not_shown() -> None:
    trail = a_trail(Read(PATIENT))
    trail.shows((VERSION,))
    assert trail.refused(NotFound("hidden"), MORNING).targets == (Target("Patient/1", 6),)
