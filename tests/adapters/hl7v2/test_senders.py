"""Agreements with senders, as their operator writes them."""

from __future__ import annotations

import pytest

from adapters.hl7v2.header import header_of
from adapters.hl7v2.senders import Sender, SendersError, senders_from
from tests.adapters.hl7v2.builders import a_message, parsed

HEADER = header_of(parsed(a_message()))

TOML = """
[[sender]]
application = "OTHER"
time_zone = "America/New_York"

[[sender]]
facility = "GOODHEALTH"
deciding = ["NH"]
time_zone = "Europe/Berlin"
[sender.systems]
GH = "https://gh.example/mrn"
[sender.code_systems]
99LAB = "https://gh.example/lab"
"""


def test_the_first_agreement_that_fits_is_used() -> None:
    sender = senders_from(TOML, "http://x/fhir/", Sender()).of(HEADER)
    assert (sender.deciding, sender.time_zone) == (("NH",), "Europe/Berlin")
    assert sender.systems == {"GH": "https://gh.example/mrn"}
    assert sender.code_systems == {"99LAB": "https://gh.example/lab"}


def test_a_sender_without_an_agreement_has_the_defaults() -> None:
    senders = senders_from('[[sender]]\napplication = "NO"', "http://x/fhir/", Sender(time_zone="Asia/Tokyo"))
    assert senders.of(HEADER).time_zone == "Asia/Tokyo"
    assert senders.agreed[0].time_zone == "Asia/Tokyo"
    assert senders.base == "http://x/fhir"


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[[sender", "not TOML"),
        ("[senders]", "Only"),
        ("[sender]", "two brackets"),
        ('[[sender]]\nzone = "x"', "number 1: `zone`"),
        ("[[sender]]\ndeciding = 1", "number 1: `deciding`"),
        ("[[sender]]\ndeciding = [1]", "number 1: `deciding`"),
        ('[[sender]]\ntime_zone = "Mars/Base"', "`Mars/Base`"),
        ('[[sender]]\ntime_zone = "../etc"', "time zone"),
    ],
)
def test_a_mistake_is_named(toml: str, says: str) -> None:
    with pytest.raises(SendersError, match=says):
        senders_from(toml, "http://x", Sender())
