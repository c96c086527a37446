"""A resource as FHIR's XML: https://hl7.org/fhir/R4/xml.html."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.r4.errors import FhirError, NotAcceptable, Unprocessable
from fhir_server.r4.resource import Literal, from_text
from fhir_server.r4.xml import from_xml, to_xml
from tests.r4.xml.documents import FHIR, XHTML

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def written(**elements: Any) -> str:
    """What stands in a Patient that has these."""
    text = to_xml({**elements, "resourceType": "Patient"}).decode()
    return text.removeprefix(f"{HEAD}<Patient {FHIR}>").removesuffix("</Patient>")


def test_elements_stand_in_the_order_of_the_definitions() -> None:
    assert written(
        birthDate="1970", name=[{"given": ["A"], "use": "usual", "id": "n"}], meta={"versionId": "1"}, id="p"
    ) == (
        '<id value="p"/><meta><versionId value="1"/></meta>'
        '<name id="n"><use value="usual"/><given value="A"/></name><birthDate value="1970"/>'
    )


def test_primitives_carry_their_companions() -> None:
    extension = {"extension": [{"url": "urn:e", "valueBoolean": False}]}
    as_xml = '<extension url="urn:e"><valueBoolean value="false"/></extension>'
    assert written(_active={"id": "a"}, active=True, _gender=extension) == (
        f'<active value="true" id="a"/><gender>{as_xml}</gender>'
    )
    name = {"given": ["A", None], "_given": [None, extension], "_suffix": [{"id": "s"} | extension]}
    assert written(name=[name]) == (
        f'<name><given value="A"/><given>{as_xml}</given><suffix id="s">{as_xml}</suffix></name>'
    )


def test_numbers_are_written_as_they_are() -> None:
    observation = from_text(
        b'{"resourceType":"Observation","component":[{"valueQuantity":{"value":1.00}},'
        b'{"valueQuantity":{"value":0.1e-7}},{"valueQuantity":{"value":-0}},{"valueInteger":12}]}'
    )
    text = to_xml(observation).decode()
    assert all(f'value="{digits}"' in text for digits in ("1.00", "0.1e-7", "-0", "12"))


def test_characters_are_escaped() -> None:
    assert written(language="<a&\"'>\t\r\n\u0085é") == (
        '<language value="&lt;a&amp;&quot;\'&gt;&#x9;&#xD;&#xA;\u0085é"/>'
    )


def test_an_extension_has_its_url_in_the_tag() -> None:
    assert written(extension=[{"url": 'urn:"', "valueCode": "c"}]) == (
        '<extension url="urn:&quot;"><valueCode value="c"/></extension>'
    )


def test_pretty_puts_each_element_on_its_line_and_leaves_the_narrative() -> None:
    div = f"<div {XHTML}><p>a\n b</p></div>"
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {
                "resource": {
                    "resourceType": "Patient",
                    "text": {"div": div},
                    "_active": {"extension": [{"url": "u"}]},
                }
            }
        ],
    }
    assert (
        to_xml(bundle, pretty=True).decode()
        == f"""{HEAD}
<Bundle {FHIR}>
  <entry>
    <resource>
      <Patient>
        <text>
          {div}
        </text>
        <active>
          <extension url="u"/>
        </active>
      </Patient>
    </resource>
  </entry>
</Bundle>
"""
    )
    assert from_xml(to_xml({"resourceType": "Patient"}, pretty=True)) == {"resourceType": "Patient"}


@pytest.mark.parametrize(
    ("elements", "expression"),
    [
        ({"fhir_comments": ["x"]}, "Patient.fhir_comments"),
        ({"name": [{"text": "A"}, {"fhir_comments": ["x"]}]}, "Patient.name[1].fhir_comments"),
        ({"two words": 1}, "Patient"),
        ({"_id": {"id": "x"}}, "Patient._id"),
        ({"deceased": True}, "Patient.deceased"),
        ({"active": "true"}, "Patient.active"),
        ({"active": 1}, "Patient.active"),
        ({"active": [True]}, "Patient.active"),
        ({"gender": True}, "Patient.gender"),
        ({"gender": None}, "Patient.gender"),
        ({"multipleBirthInteger": "1"}, "Patient.multipleBirth"),
        ({"multipleBirthInteger": True}, "Patient.multipleBirth"),
        ({"multipleBirthInteger": Literal(b'"/>')}, "Patient.multipleBirth"),
        ({"name": {"text": "A"}}, "Patient.name"),
        ({"name": ["A"]}, "Patient.name[0]"),
        ({"name": [{"given": "A"}]}, "Patient.name[0].given"),
        ({"name": [{"given": ["A", None]}]}, "Patient.name[0].given[1]"),
        ({"name": [{"_given": [{"id": "a", "value": "x"}]}]}, "Patient.name[0].given[0]"),
        ({"name": [{"_given": [["x"]]}]}, "Patient.name[0].given[0]"),
        ({"name": [{"id": 1}]}, "Patient.name[0].id"),
        ({"maritalStatus": []}, "Patient.maritalStatus"),
        ({"contained": [{}]}, "Patient.contained[0].resourceType"),
        ({"contained": [{"resourceType": "HumanName"}]}, "Patient.contained[0].resourceType"),
        ({"contained": [{"resourceType": "Basic", "x": 1}]}, "Patient.contained[0].x"),
        ({"text": {"div": 1}}, "Patient.text.div"),
        ({"text": {"div": "<div>a</div>"}}, "Patient.text.div"),
        ({"text": {"div": f"<p {XHTML}>a</p>"}}, "Patient.text.div"),
        ({"text": {"div": f'<div {XHTML}>a</div></text><id value="x"/><text>'}}, "Patient.text.div"),
        ({"text": {"div": f"<div {XHTML}>&nbsp;</div>"}}, "Patient.text.div"),
        ({"text": {"div": f'<?xml version="1.0"?><div {XHTML}>a</div>'}}, "Patient.text.div"),
        ({"text": {"div": f"<!DOCTYPE div><div {XHTML}>a</div>"}}, "Patient.text.div"),
        ({"text": {"div": f"<div {XHTML}>a</div>".encode("utf-16-le").decode()}}, "Patient.text.div"),
        ({"text": {"div": f"<div {XHTML}>\ud800</div>"}}, "Patient.text.div"),
    ],
)
def test_what_has_no_place_in_xml_is_refused_where_it_is(elements: dict[str, Any], expression: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        written(**elements)
    assert refusal.value.issues[0].expression == (expression,)


@pytest.mark.parametrize(
    "resource", [{}, {"resourceType": 1}, {"resourceType": "Resource"}, {"resourceType": None}]
)
def test_a_resource_has_a_type(resource: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable):
        to_xml(resource)


@pytest.mark.parametrize("character", ["\0", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_a_character_that_xml_has_not_is_not_acceptable(character: str) -> None:
    with pytest.raises(NotAcceptable) as refusal:
        written(name=[{"text": character}])
    assert refusal.value.issues[0].expression == ("Patient.name[0].text",)


def test_depth_is_bounded() -> None:
    deep: dict[str, Any] = {"url": "x"}
    for _ in range(50_000):
        deep = {"url": "x", "extension": [deep]}
    with pytest.raises(FhirError, match="deeper"):
        written(extension=[deep])
    # Taken apart level by level: the interpreter's own way to free it may recurse.
    while "extension" in deep:
        deep = deep.pop("extension")[0]
