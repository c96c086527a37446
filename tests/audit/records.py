"""Records for tests: valid with the least said, and arbitrary ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from audit.chain import Link, genesis, link
from audit.record import Outcome, Record, Target

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)

INTERACTIONS = (
    "read",
    "vread",
    "create",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "history-system",
    "search-type",
    "search-system",
    "batch",
    "transaction",
    "$everything",
    "unknown-route",
    "login",
    "logout",
    "authorize",
    "token",
    "revocation",
    "launch",
    "introspection",
    "userinfo",
    "registration",
    "user-add",
    "user-remove",
    "client-register",
    "keys-rotate",
)

OUTCOMES: dict[Outcome, tuple[int, ...]] = {
    "success": (200, 201, 204, 304),
    "refused": (400, 401, 403, 404, 410, 412, 422, 429),
    "failed": (500, 503),
}


def a_record(**given: Any) -> Record:
    """A clinician's read of an Observation of Patient 1."""
    return Record(
        **{
            "time": NOON,
            "interaction": "read",
            "outcome": "success",
            "status": 200,
            "request_id": "request-1",
            "address": "192.0.2.7",
            "client": "ward-app",
            "subject": "user-7",
            "user": "Practitioner/7",
            "purpose": "TREAT",
            "token_id": "token-1",
            "targets": (Target("Observation/5", 3),),
            "patients": ("1",),
            **given,
        }
    )


def a_chain(*records: Record, shard: str = "node-1") -> list[Link]:
    """The records as the first links of a shard."""
    links: list[Link] = []
    previous = genesis(shard)
    for position, record in enumerate(records, start=1):
        links.append(link(record, shard=shard, position=position, previous=previous))
        previous = links[-1].hash
    return links


_ids = st.sampled_from(["1", "2", "3", "a-b", "x.9"])
_words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
_references = st.builds(
    "{}/{}".format, st.sampled_from(["Patient", "Observation", "Group", "Practitioner"]), _ids
)
_targets = st.builds(Target, _references, st.none() | st.integers(1, 10**9))


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record that the pipeline may write, odd ones included."""
    outcome = draw(st.sampled_from(tuple(OUTCOMES)))
    status = draw(st.sampled_from(OUTCOMES[outcome]))
    client = draw(st.none() | st.sampled_from(["ward-app", "lab|feed", "ÄPP 1"]))
    return Record(
        time=draw(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001 - bounds of Hypothesis are naive
        interaction=draw(st.sampled_from(INTERACTIONS)),
        outcome=outcome,
        status=status,
        request_id=draw(_words),
        address=draw(st.sampled_from(["192.0.2.7", "2001:DB8::1", "", "Ward-3.example.org"])),
        client=client,
        subject=draw(st.none() | st.just(client) | _words),
        user=draw(
            st.none()
            | _references
            | st.sampled_from(
                ["https://ehr.example.org/Practitioner/8", "https://ehr.example.org/Patient/8", "Dr No"]
            )
        ),
        purpose=draw(st.none() | st.sampled_from(["TREAT", "HOPERAT", "BTG"])),
        token_id=draw(st.none() | _words),
        targets=tuple(draw(st.lists(_targets, max_size=3, unique=True))),
        patients=tuple(draw(st.lists(_ids, max_size=3, unique=True))),
        query=draw(st.none() | _words | st.just("Observation?code=8867-4&patient=1")),
        reason=draw(st.none() | _words) if outcome != "success" else None,
        count=draw(st.sampled_from([1, 1, 1, 40])) if outcome == "refused" else 1,
    )
