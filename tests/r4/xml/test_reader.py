"""FHIR's XML as JSON, and what is refused: https://hl7.org/fhir/R4/xml.html."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid
from fhir_server.r4.resource import DEPTH_MAX, Literal, from_text, to_text
from fhir_server.r4.xml import from_xml
from tests.r4.xml.documents import FHIR, XHTML, exact, narrative, patient


def read(inside: str) -> dict[str, Any]:
    """What a Patient with this inside has, without its type."""
    resource = from_xml(patient(inside))
    assert resource.pop("resourceType") == "Patient"
    return resource


def test_elements_become_properties() -> None:
    assert read("""
        <id value="p"/>
        <active value="true"/>
        <name>
          <use value="official"/>
          <given value="Anna"/>
          <given value="Maria"/>
        </name>
        <name><text value="A"/></name>
        <multipleBirthInteger value="2"/>
    """) == {
        "id": "p",
        "active": True,
        "name": [{"use": "official", "given": ["Anna", "Maria"]}, {"text": "A"}],
        "multipleBirthInteger": 2,
    }


def test_ids_and_extensions_of_primitives_are_kept_beside_their_values() -> None:
    """https://hl7.org/fhir/R4/json.html#primitive."""
    extension = '<extension url="urn:e"><valueString value="x"/></extension>'
    as_json = {"extension": [{"url": "urn:e", "valueString": "x"}]}
    assert read(f'<birthDate id="b" value="1970-03-30">{extension}</birthDate>') == {
        "birthDate": "1970-03-30",
        "_birthDate": {"id": "b"} | as_json,
    }
    given = f'<given value="A"/><given>{extension}</given><given id="c" value="C"/><given value="D"/>'
    assert read(f"<name>{given}</name>") == {
        "name": [{"given": ["A", None, "C", "D"], "_given": [None, as_json, {"id": "c"}, None]}]
    }
    # Nothing but nulls is left out.
    assert read(f"<name><given>{extension}</given></name>") == {"name": [{"_given": [as_json]}]}


def test_ids_and_urls_are_attributes_but_a_resource_has_its_id_inside() -> None:
    extension = '<extension id="e" url="urn:e"><valueCode value="c"/></extension>'
    assert read(f'<id value="p"/>{extension}<name id="n"><text value="A"/></name>') == {
        "id": "p",
        "extension": [{"id": "e", "url": "urn:e", "valueCode": "c"}],
        "name": [{"id": "n", "text": "A"}],
    }


def test_resources_nest() -> None:
    document = f"""
        <Bundle {FHIR}><type value="batch-response"/>
          <entry>
            <resource><Patient><contained><Basic><id value="b"/></Basic></contained>
              <contained><Group><id value="g"/></Group></contained></Patient></resource>
            <response><status value="200"/>
              <outcome><OperationOutcome><id value="o"/></OperationOutcome></outcome></response>
          </entry>
          <entry><resource><Parameters><parameter><name value="p"/><part><name value="q"/>
            <resource><Binary><contentType value="text/plain"/></Binary></resource></part></parameter>
            </Parameters></resource></entry>
        </Bundle>"""
    binary = {"resourceType": "Binary", "contentType": "text/plain"}
    parameter = {"name": "p", "part": [{"name": "q", "resource": binary}]}
    contained = [{"resourceType": "Basic", "id": "b"}, {"resourceType": "Group", "id": "g"}]
    assert from_xml(document.encode()) == {
        "resourceType": "Bundle",
        "type": "batch-response",
        "entry": [
            {
                "resource": {"resourceType": "Patient", "contained": contained},
                "response": {"status": "200", "outcome": {"resourceType": "OperationOutcome", "id": "o"}},
            },
            {"resource": {"resourceType": "Parameters", "parameter": [parameter]}},
        ],
    }


@pytest.mark.parametrize(
    "digits", ["1.00", "0.1e-7", "-0", "123456789012345678", "1234567890123456789", "0", "-7"]
)
def test_numbers_keep_their_digits(digits: str) -> None:
    document = f'<Observation {FHIR}><valueQuantity><value value="{digits}"/></valueQuantity></Observation>'
    expected = from_text(f'{{"value":{digits}}}'.encode())
    assert exact(from_xml(document.encode())["valueQuantity"]) == exact(expected)


def test_a_fraction_in_an_integer_is_left_to_validation() -> None:
    assert exact(read('<multipleBirthInteger value="1.5"/>')) == {"multipleBirthInteger": (Literal, b"1.5")}


def test_comments_instructions_and_formatting_are_no_part_of_a_resource() -> None:
    document = (
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n<?xml-stylesheet href="x"?>'
        b"<!-- <!DOCTYPE x> -->"
        + patient('\r\n\t<!-- a --><?b c?><active value="true"><!-- d --></active>\n')
        + b"<!-- e -->\n"
    )
    assert from_xml(document) == {"resourceType": "Patient", "active": True}


def test_any_prefix_will_do() -> None:
    document = b'<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>'
    assert from_xml(document) == {"resourceType": "Patient", "active": True}


@pytest.mark.parametrize(
    "div",
    [
        f"<div {XHTML}>a</div>",
        f"<div {XHTML} title='>\"/>'><p >1 &lt; 2 &#160; &amp;</p ><br/>\n</div\n>",
        f"<div {XHTML}><!-- <p> ]]> --><![CDATA[</div>]]><div><div/></div></div>",
        f'<div id="x" {XHTML} class=">"/>',
        '<h:div xmlns:h="http://www.w3.org/1999/xhtml">ä<h:p/></h:div>',
        f"<div {XHTML}>" + "<p>" * 10_000 + "</p>" * 10_000 + "</div>",
    ],
)
def test_a_narrative_stays_the_string_it_is(div: str) -> None:
    assert read(narrative(div) + '<active value="true"/>')["text"] == {"status": "generated", "div": div}


@pytest.mark.parametrize(
    ("div", "alone"),
    [
        ("<h:div>a:b<h:p/></h:div>", '<h:div xmlns:h="http://www.w3.org/1999/xhtml">a:b<h:p/></h:div>'),
        ("<h:div/>", '<h:div xmlns:h="http://www.w3.org/1999/xhtml"/>'),
        (f"<div {XHTML}>a</div>", f"<div {XHTML}>a</div>"),
    ],
)
def test_a_narrative_takes_along_the_namespaces_it_needs(div: str, alone: str) -> None:
    text = f'<text><status value="empty"/>{div}</text>'
    around = f'{FHIR} xmlns:h="http://www.w3.org/1999/xhtml" xmlns:a="urn:a"'
    assert from_xml(f"<Patient {around}>{text}</Patient>".encode())["text"]["div"] == alone


def test_a_narrative_takes_along_the_default_namespace() -> None:
    document = f"""<f:Patient xmlns:f="http://hl7.org/fhir" {XHTML}>
        <f:text><f:status value="empty"/><div><p/></div></f:text></f:Patient>"""
    assert from_xml(document.encode())["text"]["div"] == f"<div {XHTML}><p/></div>"


@pytest.mark.parametrize(
    ("inside", "expression"),
    [
        ('<gender value="male"/><active value="true"/>', "Patient.active"),
        ('<active value="true"/><id value="p"/>', "Patient.id"),
        ('<name><given value="A"/><family value="B"/></name>', "Patient.name[0].family"),
        ('<name><text value="A"/></name><active value="true"/>', "Patient.active"),
        ('<name><text value="A"/></name><gender value="male"/><name/>', "Patient.name"),
        ('<gender value="male"/><gender value="male"/>', "Patient.gender"),
        ('<deceasedBoolean value="true"/><deceasedDateTime value="2010"/>', "Patient.deceased"),
        ('<deceased value="true"/>', "Patient.deceased"),
        ('<deceasedString value="true"/>', "Patient.deceasedString"),
        ('<shoeSize value="45"/>', "Patient.shoeSize"),
        ('<Active value="true"/>', "Patient.Active"),
        ('<resourceType value="Patient"/>', "Patient.resourceType"),
        ('<name><text value="A"/></name><name><foo/></name>', "Patient.name[1].foo"),
        ('<active value="true"><value/></active>', "Patient.active.value"),
        ('<id value="p"><extension url="x"><valueCode value="c"/></extension></id>', "Patient.id.extension"),
        ('<active xmlns="" value="true"/>', "Patient"),
        ('<x:active xmlns:x="urn:x" value="true"/>', "Patient"),
        ('<active xmlns:x="urn:x" x:value="true"/>', "Patient.active"),
        ('<active xmlns:f="http://hl7.org/fhir" f:value="true"/>', "Patient.active"),
        ('<active value="true" xml:lang="de"/>', "Patient.active"),
        ('<active value="true" url="urn:x"/>', "Patient.active"),
        ('<id id="x" value="p"/>', "Patient.id"),
        ('<name value="A"><text value="A"/></name>', "Patient.name[0]"),
        ('<name id="n" use="x"/>', "Patient.name[0]"),
        ('<name><given value="A"/><given value="B" x="C"/></name>', "Patient.name[0].given[1]"),
        ("<name>Anna</name>", "Patient.name[0]"),
        ('<name>\u00a0<text value="A"/></name>', "Patient.name[0]"),
        ("<active>true</active>", "Patient.active"),
        ("<active><![CDATA[true]]></active>", "Patient.active"),
        ("text", "Patient"),
        ("<name/>", "Patient.name[0]"),
        ("<active/>", "Patient.active"),
        ('<name><given value="A"/><given/></name>', "Patient.name[0].given[1]"),
        ('<active value="TRUE"/>', "Patient.active"),
        ('<active value=""/>', "Patient.active"),
        ('<multipleBirthInteger value="+1"/>', "Patient.multipleBirth"),
        ('<multipleBirthInteger value="01"/>', "Patient.multipleBirth"),
        ('<multipleBirthInteger value=" 1"/>', "Patient.multipleBirth"),
        ('<multipleBirthInteger value="NaN"/>', "Patient.multipleBirth"),
        ('<multipleBirthInteger value="1e2000000000"/>', "Patient.multipleBirth"),
        ('<multipleBirthInteger value="{}"/>'.format("1" * 200), "Patient.multipleBirth"),
        ("<contained/>", "Patient.contained[0]"),
        ("<contained><HumanName/></contained>", "Patient.contained[0]"),
        ("<contained><Basic/><Basic/></contained>", "Patient.contained[0]"),
        ("<contained><Basic/></contained><contained><List><x/></List></contained>", "Patient.contained[1].x"),
        ('<contained><Basic id="b"/></contained>', "Patient.contained[0]"),
        (narrative("<div>a</div>"), "Patient.text"),
        (narrative(f"<p {XHTML}>a</p>"), "Patient.text"),
        (narrative(f"<div {XHTML}>a</div>" * 2), "Patient.text.div"),
        (narrative('<div value="a"/>'), "Patient.text"),
        (narrative(f"<div {XHTML}/>") + f"<div {XHTML}/>", "Patient.div"),
    ],
)  # fmt: skip
def test_what_r4_does_not_have_is_refused_where_it_is(inside: str, expression: str) -> None:
    with pytest.raises(Invalid) as refusal:
        from_xml(patient(inside))
    assert refusal.value.issues[0].expression == (expression,)


SCHEMA_INSTANCE = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"<Patient/>",
        b'<Patient xmlns="urn:x"/>',
        b'<HumanName xmlns="http://hl7.org/fhir"/>',
        b'<DomainResource xmlns="http://hl7.org/fhir"/>',
        f'<Patient {FHIR} {SCHEMA_INSTANCE} i:schemaLocation="a b"/>'.encode(),
        patient("") * 2,
        patient("") + b"x",
        patient("<active>"),
        patient('<active value="a" value="b"/>'),
        patient('<x:active value="true"/>'),
        patient('<language value="&#1;"/>'),
        patient('<language value="&#xFFFE;"/>'),
        patient('<language value="&#xD800;"/>'),
        patient('<language value="\ufffe"/>'),
        patient('<language value="&nbsp;"/>'),
        patient(narrative(f"<div {XHTML}>&nbsp;</div>")),
        patient('<language value="X"/>').replace(b"X", b"\xff"),
        patient('<language value="X"/>').replace(b"X", b"\xed\xa0\x80"),
        b'<?xml version="1.1"?>' + patient(""),
        b'<?xml version="1.0" encoding="ISO-8859-1"?>' + patient(""),
        b'<?xml version="1.0" encoding="UTF-16"?>' + patient(""),
        patient("").decode().encode("utf-16"),
        patient("").decode().encode("utf-16-le"),
        patient("").decode().encode("utf-32"),
        b"<?xml",
        b"<!--",
    ],
)
def test_what_is_no_xml_of_fhir_is_refused(document: bytes) -> None:
    with pytest.raises(Invalid):
        from_xml(document)


BOMB = b"".join(
    b'<!ENTITY a%d "%s">' % (level, b"&a%d;" % (level - 1) * 10 if level else b"ha") for level in range(12)
)


@pytest.mark.parametrize(
    "doctype",
    [
        b"<!DOCTYPE Patient>",
        b"<!DOCTYPE Patient [" + BOMB + b"]>",
        b'<!DOCTYPE Patient [<!ENTITY a11 SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE Patient PUBLIC "x" "http://example.org/x.dtd">',
        b'<!DOCTYPE Patient [<!ENTITY % p SYSTEM "http://example.org/x.dtd">%p;]>',
        b'<?xml version="1.0"?> <!-- - -->\n<?x ??>\n<!DOCTYPE Patient [' + BOMB + b"]>",
        b"\xef\xbb\xbf\n<!DOCTYPE Patient>",
    ],
)
def test_a_document_type_is_refused_before_it_is_read(doctype: bytes) -> None:
    with pytest.raises(Invalid, match="DOCTYPE"):
        from_xml(doctype + patient('<language value="&a11;"/>'))


@pytest.mark.parametrize(
    "inside",
    [
        '<extension url="x">' * 100_000,
        "<contained><Patient>" * 100_000,
        "<a>" * 100_000,
        '<contact id="a"' + " ".join(f' a{place}="b"' for place in range(100_000)) + "/>",
        "<" + "a" * 5_000_000 + "/>",
        '<active value="' + "a" * 5_000_000 + '"/>',
    ],
)
def test_size_and_depth_cost_no_stack(inside: str) -> None:
    with pytest.raises(Invalid) as refusal:
        from_xml(patient(inside))
    assert len(str(refusal.value)) < 200


def test_a_large_value_is_read() -> None:
    data = "QUJD" * 1_000_000
    document = f'<Binary {FHIR}><contentType value="text/plain"/><data value="{data}"/></Binary>'
    assert from_xml(document.encode())["data"] == data


@pytest.mark.parametrize("leaf", ['<valueCode value="c"/>', '<valueCode id="i" value="c"/>'])
@pytest.mark.parametrize("levels", range(DEPTH_MAX // 2 - 2, DEPTH_MAX // 2 + 1))
@pytest.mark.parametrize("around", ["active", "name", None])
def test_depth_is_limited_where_json_limits_it(around: str | None, levels: int, leaf: str) -> None:
    """What was read from XML can be read again from its JSON, and the other way round."""
    inside = '<extension url="x">' * levels + leaf + "</extension>" * levels
    document = patient(f"<{around}>{inside}</{around}>" if around else inside)
    try:
        resource = from_xml(document)
    except Invalid:
        deeper = {"id": "i"} if "id" in leaf else {}
        value: Any = {"url": "x", "valueCode": "c"} | ({"_valueCode": deeper} if deeper else {})
        for _ in range(levels - 1):
            value = {"url": "x", "extension": [value]}
        value = {"extension": [value]}
        value = {"_active": value} if around == "active" else {"name": [value]} if around else value
        with pytest.raises(Invalid):
            from_text(to_text(value))
    else:
        assert exact(from_text(to_text(resource))) == exact(resource)


@given(st.binary(max_size=80), st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_anything_is_read_or_refused(octets: bytes, inside: str) -> None:
    for document in (octets, patient("X").replace(b"X", octets), patient(inside)):
        with contextlib.suppress(Invalid):
            from_xml(document)
