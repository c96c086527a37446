"""Content negotiation. https://hl7.org/fhir/R4/http.html#mime-type."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given as given_that
from hypothesis import strategies as st

from fhir_server.r4.errors import NotAcceptable, WrongMediaType
from fhir_server.r4.media import MEDIA_CHARACTERS_MAX, Format, given, kind, named, wanted

JSON, XML = Format.JSON, Format.XML
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def test_each_format_has_the_media_type_that_fhir_gives_it() -> None:
    assert (JSON.media_type, XML.media_type) == ("application/fhir+json", "application/fhir+xml")


@pytest.mark.parametrize(
    ("accept", "format", "name"),
    [
        (None, JSON, "application/fhir+json"),
        ("*/*", XML, "application/fhir+xml"),
        ("application/json", JSON, "application/json"),
        ("Text/JSON;q=0.3", JSON, "text/json"),
        ("application/json", XML, "application/fhir+xml"),
        ("json", JSON, "application/fhir+json"),
        ("application/json, application/fhir+json;q=0.1", JSON, "application/fhir+json"),
        ("text/xml, application/xml", XML, "text/xml"),
        ("text/xml;q=0.1, application/xml;q=0.2", XML, "application/xml"),
        ("text/xml;q=0, */*", XML, "application/fhir+xml"),
        ("application/json;fhirVersion=3.0, */*", JSON, "application/fhir+json"),
        (BROWSER, XML, "application/xml"),
        ("x" * 5_000, JSON, "application/fhir+json"),
    ],
)
def test_an_answer_has_the_generic_name_that_was_asked_for_instead_of_fhirs(
    accept: str | None, format: Format, name: str
) -> None:
    assert named(accept, format) == name


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/fhir+json", JSON),
        ("application/fhir+xml", XML),
        ("application/json", JSON),
        ("application/xml", XML),
        ("text/json", JSON),
        ("text/xml", XML),
        ("json", JSON),
        ("xml", XML),
        ("Application/FHIR+XML", XML),
        ("application/fhir+xml;charset=utf-8", XML),
        ("application/fhir+json; fhirVersion=4.0", JSON),
        ('application/fhir+xml; fhirVersion="4.0.1"', XML),
        ("text/html, */*;q=0.1", JSON),
        (BROWSER, XML),
        ("application/fhir+xml;q=0.5, application/fhir+json;q=0.6", JSON),
        ("application/fhir+xml;q=0.6, application/fhir+json;q=0.5", XML),
        ("application/fhir+xml; q = 0.6 , application/fhir+json ;q=0.599", XML),
        ("application/fhir+json;q=0, application/json", JSON),
        ("application/fhir+json;q=0.000, application/fhir+xml;q=0.001", XML),
        ("application/fhir+xml;q=nonsense, application/fhir+json;q=0.9", XML),
        ("application/fhir+xml;q=7, application/fhir+json;q=0.9", XML),
        ('text/plain;note="a,b;q=0", application/fhir+xml', XML),
        ('text/plain;note="never closed, application/fhir+xml', XML),
        (",, application/fhir+xml,", XML),
    ],
)
def test_the_format_is_that_of_the_highest_q_value(accept: str | None, format: Format) -> None:
    assert wanted(accept, None) is format


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("application/fhir+json, application/fhir+xml", JSON),
        ("application/fhir+xml, application/fhir+json", XML),
        ("*/*, application/fhir+xml", XML),
        ("application/fhir+xml, */*", XML),
    ],
)
def test_between_equals_the_named_goes_first_and_then_the_first_named(accept: str, format: Format) -> None:
    assert wanted(accept, None) is format


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("application/fhir+json;q=0, */*", XML),
        ("*/*, application/fhir+json;q=0", XML),
        ("application/fhir+json;q=0.2, */*;q=0.5", XML),
        ("application/*;q=0.3, */*;q=0, application/fhir+json;q=0.2", XML),
        ("application/fhir+json;fhirVersion=3.0, */*;q=0.1", JSON),
    ],
)
def test_what_is_said_of_a_format_goes_before_what_a_wildcard_says(accept: str, format: Format) -> None:
    assert wanted(accept, None) is format


@pytest.mark.parametrize(
    "accept",
    [
        "",
        ";;;,,,",
        "text/html",
        "text/*",
        "text/turtle",
        "application/fhir+turtle",
        "application/vnd.api+json",
        "application/fhir+json;q=0",
        "*/*;q=0",
        "application/*;q=0, */*",
        "application/fhir+json;q=0, application/fhir+xml;q=0.0, */*",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json; fhirVersion=4.3; fhirVersion=4.0",
        "*/*; fhirVersion=5.0",
    ],
)
def test_an_accept_that_names_neither_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable) as refusal:
        wanted(accept, None)
    assert refusal.value.status == 406


@pytest.mark.parametrize(
    ("format", "found"),
    [
        ("json", JSON),
        ("xml", XML),
        ("application/fhir+json", JSON),
        ("application/fhir+xml", XML),
        ("application/json", JSON),
        ("application/xml", XML),
        ("text/json", JSON),
        ("text/xml", XML),
        ("XML", XML),
        (" xml ", XML),
        ("application/fhir+xml;charset=utf-8", XML),
        ("application/fhir+xml; fhirVersion=4.0", XML),
    ],
)
def test_the_parameter_format_goes_before_accept(format: str, found: Format) -> None:
    assert wanted("text/html", format) is found
    assert wanted("application/fhir+json, application/fhir+xml", format) is found


def test_a_plus_that_was_not_encoded_is_understood() -> None:
    assert wanted(None, "application/fhir xml") is XML
    assert wanted(None, "application/fhir json; fhirVersion=4.0") is JSON


@pytest.mark.parametrize(
    "format",
    [
        "",
        "html",
        "text/html",
        "ttl",
        "*/*",
        "application/fhir  xml",
        "application/xml+fhir",
        "json;fhirVersion=3.0",
        "json,xml",
    ],
)
def test_a_parameter_format_that_names_neither_is_refused(format: str) -> None:
    with pytest.raises(NotAcceptable):
        wanted("application/fhir+json", format)


@pytest.mark.parametrize(
    ("content_type", "format"),
    [
        ("application/fhir+json", JSON),
        ("application/fhir+xml", XML),
        ("application/json", JSON),
        ("text/xml", XML),
        ("Application/FHIR+JSON ; Charset=UTF-8", JSON),
        ('application/fhir+xml;charset="utf-8"', XML),
        ("application/fhir+json;charset=utf8;fhirVersion=4.0", JSON),
        ("application/fhir+json;", JSON),
    ],
)
def test_the_format_of_a_body_is_its_content_type(content_type: str, format: Format) -> None:
    assert given(content_type) is format


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "*/*",
        "text/html",
        "application/fhir+turtle",
        "application/json-patch+json",
        "application/x-www-form-urlencoded",
        "application/fhir+json, application/fhir+xml",
        "application/fhir+json;charset=utf-16",
        "application/fhir+json;charset=iso-8859-1;charset=utf-8",
        "application/fhir+xml;charset = latin1",
        "application/fhir+xml;fhirVersion=3.0",
    ],
)
def test_a_body_of_another_kind_charset_or_version_is_refused(content_type: str | None) -> None:
    with pytest.raises(WrongMediaType) as refusal:
        given(content_type)
    assert refusal.value.status == 415


def test_the_kind_of_a_body_is_told_without_its_parameters() -> None:
    assert kind("Application/JSON-Patch+JSON; charset=utf-8") == "application/json-patch+json"
    assert kind(None) == ""
    with pytest.raises(WrongMediaType):
        kind("application/json-patch+json; charset=utf-16")


def test_what_is_too_long_is_refused_unread() -> None:
    long = "application/fhir+json," * MEDIA_CHARACTERS_MAX
    with pytest.raises(NotAcceptable, match=str(MEDIA_CHARACTERS_MAX)):
        wanted(long, None)
    with pytest.raises(WrongMediaType, match=str(MEDIA_CHARACTERS_MAX)):
        given(long)
    with pytest.raises(NotAcceptable):
        wanted(None, long)


@given_that(
    st.lists(st.sampled_from([*'",;=*/+. \\\tq019', "json", "xml", "application/fhir", "fhirVersion"])).map(
        "".join
    )
)
def test_whatever_a_client_writes_it_gets_a_format_or_a_refusal(text: str) -> None:
    with suppress(NotAcceptable):
        assert wanted(text, None) in Format
    with suppress(NotAcceptable):
        assert wanted(None, text) in Format
    with suppress(WrongMediaType):
        assert given(text) in Format


weights = st.integers(0, 1000)


@given_that(weights, weights, st.booleans())
def test_q_values_are_compared_as_numbers(json: int, xml: int, xml_first: bool) -> None:
    choices = [f"application/fhir+json;q={json / 1000:.3f}", f"application/xml;q={xml / 1000:.3f}"]
    accept = ", ".join(reversed(choices) if xml_first else choices)
    if json == xml == 0:
        with pytest.raises(NotAcceptable):
            wanted(accept, None)
    else:
        assert wanted(accept, None) is (XML if xml > json or (xml == json and xml_first) else JSON)
