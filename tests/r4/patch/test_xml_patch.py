"""XML Patch on resources: https://www.rfc-editor.org/rfc/rfc5261."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.errors import FhirError, Invalid, TooCostly, TooLarge, Unprocessable
from fhir_server.r4.patch.draft import OPERATIONS_MAX
from fhir_server.r4.patch.xml_patch import xml_patch
from fhir_server.r4.patch.xml_selector import SELECTOR_CHARACTERS_MAX, STEPS_MAX
from fhir_server.r4.resource import Literal
from tests.r4.instances import instance_at, places
from tests.r4.xml.documents import XHTML, exact

F = 'xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"'
DIV = f"<div {XHTML} title='a'>\n<p>1 &#160;&lt; 2</p><!-- c --><p>two <b>bold</b></p> </div>"


def a_patient(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": "p",
        "text": {"status": "generated", "div": DIV},
        "active": True,
        "name": [
            {"id": "first", "use": "official", "family": "Muster", "given": ["A", "B", "C"]},
            {"use": "usual", "text": "M"},
        ],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}],
        "multipleBirthInteger": 2,
    } | elements


def patched(*operations: str, declared: str = F, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    patch = f"<diff {declared}>{''.join(operations)}</diff>"
    return xml_patch(resource or a_patient(), patch.encode())


def narrative(operation: str) -> str:
    div: str = patched(operation)["text"]["div"]
    return div


def test_an_element_is_appended() -> None:
    given = '<add sel="/f:Patient/f:name[1]"><f:given value="D"/>\n <f:suffix value="E"/> </add>'
    assert patched(given)["name"][0] == a_patient()["name"][0] | {
        "given": ["A", "B", "C", "D"],
        "suffix": ["E"],
    }


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ('<add sel="f:Patient/f:name/f:given[2]" pos="before"><f:given value="X"/></add>', "AXBC"),
        ('<add sel="f:Patient/f:name/f:given[2]" pos="after"><f:given value="X"/></add>', "ABXC"),
        ('<add sel="f:Patient/f:name[1]" pos="append"><f:given value="X"/></add>', "ABCX"),
        ('<add sel="*/f:name/f:family" pos="after"><f:given value="X"/><f:given value="Y"/></add>', "XYABC"),
        ('<remove sel="f:Patient/f:name/f:given[1]"/>', "BC"),
        ('<remove sel="f:Patient/f:name/f:given[@value=\'B\']" ws="both"/>', "AC"),
        ('<replace sel="f:Patient/f:name/f:given[3]"><f:given value="X"/></replace>', "ABX"),
        ('<replace sel="f:Patient/f:name/f:given[3]/@value">X</replace>', "ABX"),
    ],
)  # fmt: skip
def test_operations_on_a_repeating_element(operation: str, given: str) -> None:
    assert patched(operation) == a_patient(
        name=[a_patient()["name"][0] | {"given": [*given]}, a_patient()["name"][1]]
    )


def test_an_element_is_prepended() -> None:
    meta = '<add sel="f:Patient/f:text" pos="before"><f:meta><f:source value="urn:s"/></f:meta></add>'
    extension = '<add sel="f:Patient/f:telecom[1]" pos="prepend"><f:extension url="u"/></add>'
    resource = patched(meta, extension)
    assert resource["meta"] == {"source": "urn:s"}
    assert resource["telecom"][0] == {"extension": [{"url": "u"}], "system": "phone", "value": "1"}


def test_attributes_are_added_replaced_and_removed() -> None:
    assert patched(
        '<add sel="f:Patient/f:active" type="@id">a</add>',
        '<replace sel="f:Patient/f:active/@value">false</replace>',
        '<remove sel="f:Patient/f:name[1]/@id"/>',
    ) == a_patient(
        active=False,
        _active={"id": "a"},
        name=[{"use": "official", "family": "Muster", "given": ["A", "B", "C"]}, a_patient()["name"][1]],
    )


@pytest.mark.parametrize(
    "selector",
    [
        "/f:Patient/f:telecom[2]/f:value/@value",
        "f:Patient/f:telecom[f:system/@value='email']/f:value/@value",
        "f:Patient/f:telecom[ f:system / @value = \"email\" ][1]/f:value[@value='2']/@value",
        "f:Patient/f:telecom[*/@value='2']/*[2]/@value",
        "*/f:telecom[2][f:value='']/f:value[.='']/@value",
    ],
)
def test_a_selector_leads_to_one_node(selector: str) -> None:
    operation = f"<replace sel='{selector.replace(chr(39), '&apos;')}'>3</replace>"
    assert patched(operation)["telecom"][1]["value"] == "3"


def test_an_id_leads_to_its_element() -> None:
    assert patched("<remove sel=\"id('first')/f:given[1]\"/>")["name"][0]["given"] == ["B", "C"]
    assert patched("<remove sel=\"id('first')/@id\"/>")["name"][0].keys() == {"use", "family", "given"}


def test_names_without_a_prefix_are_in_the_default_namespace() -> None:
    patch = b"""<?xml version="1.0"?>
    <p:patch xmlns="http://hl7.org/fhir" xmlns:p="urn:ietf:rfc:7351">
      <!-- As RFC 7351 has it. -->
      <p:add sel="Patient/telecom[1]" pos="before"><telecom><value value="0"/></telecom></p:add>
    </p:patch>"""
    assert xml_patch(a_patient(), patch) == a_patient(telecom=[{"value": "0"}, *a_patient()["telecom"]])
    assert not patched('<remove sel="Patient/active"/>', declared='xmlns="http://hl7.org/fhir"').get("active")
    with pytest.raises(Unprocessable, match="no namespace"):
        patched('<remove sel="Patient/active"/>', declared="")


def test_a_prefix_is_that_of_its_operation() -> None:
    operation = '<q:remove xmlns:q="urn:q" xmlns:f="http://hl7.org/fhir" sel="f:Patient/f:active"/>'
    assert "active" not in patched(operation, declared='xmlns="urn:q" xmlns:f="urn:other"')


def test_operations_are_done_in_their_order() -> None:
    remove = '<remove sel="f:Patient/f:telecom[1]"/>'
    assert "telecom" not in patched(remove, remove)
    with pytest.raises(Unprocessable, match=r"operation\[2\] \(remove\)"):
        patched(remove, remove, remove)


def test_what_is_not_touched_keeps_its_digits_and_its_narrative() -> None:
    numbers = [Literal(digits) for digits in (b"1.00", b"0.1e-7", b"-0", b"123456789012345678.0")]
    resource = {
        "resourceType": "Observation",
        "text": {"status": "generated", "div": DIV},
        "status": "final",
        "component": [{"valueQuantity": {"value": number}} for number in numbers],
        "_effectiveDateTime": {"extension": [{"url": "u", "valueDecimal": Literal(b"2.50")}]},
    }
    changed = patched('<replace sel="f:Observation/f:status/@value">amended</replace>', resource=resource)
    assert exact(changed) == exact(resource | {"status": "amended"})
    assert resource["status"] == "final"


def test_resources_inside_are_resources() -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": a_patient()}, {"resource": a_patient()}]}
    operation = '<remove sel="f:Bundle/f:entry[2]/f:resource/f:Patient/f:active"/>'
    changed = patched(operation, resource=bundle)
    assert changed["entry"][0] == {"resource": a_patient()}
    assert "active" not in changed["entry"][1]["resource"]


D = "f:Patient/f:text/h:div"
HEAD = f'<div {XHTML} title="a">'
ONE = "\n<p>1 \u00a0&lt; 2</p>"
TWO = "<p>two <b>bold</b></p> </div>"


@pytest.mark.parametrize(
    ("operation", "div"),
    [
        (
            f'<replace sel="{D}"><h:div> <h:p title=">">new</h:p>&#160;<!-- x --></h:div></replace>',
            '<h:div xmlns:h="http://www.w3.org/1999/xhtml"> <h:p title=">">new</h:p>&#160;<!-- x --></h:div>',
        ),
        (
            f"<replace sel=\"{D}/h:p[h:b='bold']/h:b/text()\">bo &lt;</replace>",
            f"{HEAD}{ONE}<!-- c -->{TWO.replace('bold', 'bo &lt;')}",
        ),
        (f'<remove sel="{D}/h:p[1]" ws="before"/>', f"{HEAD}<!-- c -->{TWO}"),
        (f"<remove sel=\"{D}/h:p[.='two bold']\"/>", f"{HEAD}{ONE}<!-- c --> </div>"),
        (f'<replace sel="{D}/comment()"><!-- d --></replace>', f"{HEAD}{ONE}<!-- d -->{TWO}"),
        (
            f'<add sel="{D}/h:p[1]" pos="after"> <h:hr/><!-- e -->text</add>',
            f"{HEAD}{ONE} <hr/><!-- e -->text<!-- c -->{TWO}",
        ),
        (
            f'<add sel="{D}/h:p[2]/text()" pos="before">x<h:i>y </h:i></add>',
            f"{HEAD}{ONE}<!-- c -->{TWO.replace('two', 'x<i>y </i>two')}",
        ),
        (
            f'<add sel="{D}" type="@xml:lang">de</add>',
            f'{HEAD[:-1]} xml:lang="de">{ONE}<!-- c -->{TWO}',
        ),
        (f'<replace sel="{D}/@title">b"</replace>', f'{HEAD[:-3]}b&quot;">{ONE}<!-- c -->{TWO}'),
        (
            f'<remove sel="{D}/comment()[1]"/><remove sel="{D}/@title"/>',
            f"<div {XHTML}>{ONE}{TWO}",
        ),
    ],
)
def test_a_narrative_is_patched_inside(operation: str, div: str) -> None:
    assert narrative(operation) == div


@pytest.mark.parametrize(
    "operation",
    [
        '<remove sel="f:Patient/f:gender"/>',
        '<remove sel="f:Patient/f:telecom"/>',
        '<remove sel="f:Patient/f:telecom[3]"/>',
        '<remove sel="f:Patient/f:active/@id"/>',
        '<remove sel="f:Patient/@value"/>',
        '<remove sel="f:Patient/f:active/text()"/>',
        '<remove sel="f:Patient/f:*"/>'.replace("f:*", "*"),
        "<remove sel=\"id('none')\"/>",
        '<remove sel="f:Patient"/>',
        '<add sel="f:Patient" pos="after"><f:Patient/></add>',
        '<replace sel="f:Patient"><h:div/></replace>',
        '<add sel="f:Patient/f:active" type="@value">false</add>',
        # What is left is no resource: out of R4's order, empty, unknown, text where none is.
        '<add sel="f:Patient"><f:gender value="male"/></add>',
        '<remove sel="f:Patient/f:active/@value"/>',
        '<remove sel="f:Patient/f:name[2]/*[1]"/><remove sel="f:Patient/f:name[2]/*[1]"/>',
        '<add sel="f:Patient/f:name[1]"><f:nickname value="x"/></add>',
        '<add sel="f:Patient/f:name[1]"><given value="x"/></add>',
        '<add sel="f:Patient/f:name[1]">text</add>',
        '<add sel="f:Patient/f:active" type="@x">y</add>',
        '<replace sel="f:Patient/f:active/@value">yes</replace>',
        '<replace sel="f:Patient/f:active"><f:active value="true"/></replace>'.replace("true", "maybe"),
        '<add sel="f:Patient/f:name[1]">' + '<f:extension url="x">' * 200 + "</f:extension>" * 200 + "</add>",
    ],
)  # fmt: skip
def test_what_does_not_fit_the_resource_is_unprocessable(operation: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        patched(operation)
    assert all("Muster" not in issue.diagnostics for issue in refusal.value.issues)


def test_a_resource_that_is_left_broken_is_told_where() -> None:
    with pytest.raises(Unprocessable) as refusal:
        patched('<add sel="f:Patient"><f:gender value="male"/></add>')
    assert refusal.value.issues[0].expression == ("Patient.gender",)


SELECTORS_REFUSED = [
    "",
    "/",
    "//f:active",
    "f:Patient//f:active",
    "f:Patient/",
    "f:Patient/f:active[",
    "f:Patient/f:active[]",
    "f:Patient/f:active[0]",
    "f:Patient/f:active[-1]",
    "f:Patient/f:active[last()]",
    "f:Patient/f:active[@value]",
    "f:Patient/f:active[@value=1]",
    "f:Patient/f:active[@value='a' or @value='b']",
    "f:Patient/f:active[@value!='a']",
    "f:Patient/f:active[@value='a]",
    "f:Patient/f:active/..",
    "f:Patient/child::f:active",
    "f:Patient | f:Bundle",
    "f:Patient/x:active",
    "f:Patient/f:active/@x:value",
    "f:Patient/f:active/@value/f:x",
    "f:Patient/f:text/text()/f:x",
    "f:Patient/id('first')",
    "text()",
    "count(f:Patient)",
    "id(f:Patient)",
    "$x",
    "f:Patient/namespace::f",
    "f:Patient" + "/f:contained" * STEPS_MAX,
    "f:Patient/" + "a" * SELECTOR_CHARACTERS_MAX,
    "f:Patient" + "[1]" * STEPS_MAX,
]


@pytest.mark.parametrize("selector", SELECTORS_REFUSED)
def test_what_is_no_selector_is_invalid(selector: str) -> None:
    escaped = selector.replace("'", "&apos;")
    with pytest.raises(Invalid, match=r"operation\[0\] \(remove\)"):
        patched(f"<remove sel='{escaped}'/>")


@pytest.mark.parametrize(
    "operation",
    [
        "<remove/>",
        '<remove sel="f:Patient/f:active" ws="all"/>',
        '<remove sel="f:Patient/f:active" pos="before"/>',
        '<remove sel="f:Patient/f:active">x</remove>',
        '<move sel="f:Patient/f:active"/>',
        '<f:remove sel="f:Patient/f:active"/>',
        '<add sel="f:Patient"/>',
        '<add sel="f:Patient" pos="inside"><f:x/></add>',
        '<add sel="f:Patient" type="value">x</add>',
        '<add sel="f:Patient" type="@">x</add>',
        '<add sel="f:Patient" type="@f:value">x</add>',
        '<add sel="f:Patient" type="namespace::f">urn:x</add>',
        '<add sel="f:Patient" type="@id" pos="after">x</add>',
        '<add sel="f:Patient/f:active" type="@id"><f:x/></add>',
        '<add sel="f:Patient/f:active/@value" pos="before">x</add>',
        f'<add sel="{D}/h:p[1]/text()">x</add>',
        '<replace sel="f:Patient/f:active"/>',
        '<replace sel="f:Patient/f:active">false</replace>',
        '<replace sel="f:Patient/f:active"><f:active value="true"/><f:active value="true"/></replace>',
        '<replace sel="f:Patient/f:active/@value"><f:active/></replace>',
        f'<replace sel="{D}/comment()">x</replace>',
        "text",
        '<add sel="f:Patient"><f:x f:y="z"/></add>',
    ],
)
def test_what_is_no_patch_is_invalid(operation: str) -> None:
    with pytest.raises(Invalid):
        patched(operation)


@pytest.mark.parametrize(
    "patch",
    [
        b"",
        b"{}",
        b"<diff",
        b"<Patient/>",
        b"<!DOCTYPE diff><diff/>",
        b'<!DOCTYPE diff [<!ENTITY a "b">]><diff>&a;</diff>',
        "<diff/>".encode("utf-16"),
        b"<diff>&nbsp;</diff>",
    ],
)
def test_a_patch_is_xml_of_its_kind(patch: bytes) -> None:
    with pytest.raises(Invalid):
        xml_patch(a_patient(), patch)


def test_a_patch_without_operations_changes_nothing() -> None:
    assert xml_patch(a_patient(), b"<diff/>") == a_patient()


def test_a_patch_has_a_limit_of_operations() -> None:
    with pytest.raises(TooLarge):
        patched(*['<remove sel="f:x"/>'] * (OPERATIONS_MAX + 1))


def test_work_is_bounded() -> None:
    group = {"resourceType": "Group", "member": [{"inactive": True} for _ in range(20_000)]}
    operation = '<replace sel="f:Group/f:member[20000]/f:inactive/@value">false</replace>'
    began = time.process_time()
    with pytest.raises(TooCostly):
        patched(*[operation] * OPERATIONS_MAX, resource=group)
    assert time.process_time() - began < 20


def test_depth_costs_no_stack() -> None:
    with pytest.raises(FhirError):
        patched('<add sel="f:Patient/f:name[1]">' + "<f:x>" * 50_000 + "</f:x>" * 50_000 + "</add>")
    deep = f"<h:div {XHTML}>" + "<h:p>" * 20_000 + "</h:p>" * 20_000 + "</h:div>"
    resource = patched(f'<replace sel="{D}">{deep}</replace>')
    again = patched(f'<add sel="{D}">x</add>', resource=resource)
    assert again["text"]["div"].endswith("</p>x</div>")


SELECTOR_PARTS = st.sampled_from(
    [*"/[]@=*.()'\"1 ", "f:Patient", "f:name", "f:given", "id", "text", "x:y", "value", "'first'", "é"]
)


@given(st.lists(SELECTOR_PARTS, max_size=12), st.sampled_from(("add", "remove", "replace")))
def test_any_selector_is_followed_or_refused(parts: list[str], kind: str) -> None:
    sel = "".join(parts).replace("'", "&apos;").replace('"', "&quot;")
    with contextlib.suppress(Invalid, Unprocessable):
        patched(f'<{kind} sel="{sel}"/>')


@pytest.mark.parametrize("type", ["Patient", "Questionnaire", "Parameters", "Bundle", "PlanDefinition"])
def test_an_empty_patch_changes_nothing_of_any_element(type: str) -> None:
    for place in places(type):
        resource = instance_at(place)
        assert exact(xml_patch(resource, b"<diff/>")) == exact(resource)
