"""Bodies of requests, gone wrong: resources, texts in JSON and XML, patches of each kind, Bundles."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from fhir_server.r4.resource import from_text
from fhir_server.r4.xml import to_xml
from tests.server.hiding import a_consent, resources_of

SECRET = "Xylophone-Quux"
"""Stands in what is sent, and in no refusal."""

VALID: list[dict[str, Any]] = [
    *resources_of("d0"),
    a_consent("d0", "c", {"type": "deny", "period": {"start": "2020", "end": "2021-01-01T00:00:00Z"}}),
    {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:6f2f3c5e-0000-4000-8000-000000000001",
                "resource": {"resourceType": "Patient", "birthDate": "1970-01-01"},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "x"},
                    "subject": {"reference": "urn:uuid:6f2f3c5e-0000-4000-8000-000000000001"},
                    "valueQuantity": {"value": 1.5},
                },
                "request": {"method": "POST", "url": "Observation"},
            },
            {"request": {"method": "GET", "url": "Patient?_count=1", "ifNoneMatch": 'W/"1"'}},
        ],
    },
]

INSTEAD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from([SECRET, f"Patient/{SECRET}", f"urn:uuid:{SECRET}", f"http://x/{SECRET}"]),
    st.sampled_from([f"{SECRET}\n<script>", "", " ", "/", "$where", "#", "_history", "Patient", "x" * 3_000]),
    st.sampled_from(["9999-12-31", "0000", "2016-12-31T23:59:60Z", "0001-01-01T00:00:00+14:00"]),
    st.sampled_from(
        [[], {}, [[]], [{}], [None], {"$gt": ""}, {"resourceType": "Patient"}, {"extension": []}]
    ),
    st.sampled_from([{"reference": SECRET}, {"id": SECRET}, "9999-12-31T23:59:59.999999999-14:00"]),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)
ADDED = ["extension", "contained", "id", "_id", "text", "x", "resourceType", "meta", "modifierExtension"]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _places(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _places(child, (*path, index))


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """A valid resource in which something was replaced, removed, added or repeated, once to three times."""
    resource: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([place for place in _places(resource) if place]))
        parent: Any = resource
        for step in path:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "remove", "add", "repeat"])):
            case "replace":
                parent[last] = copy.deepcopy(draw(INSTEAD))
            case "remove":
                del parent[last]
            case "add" if isinstance(parent, dict):
                parent[draw(st.sampled_from(ADDED))] = copy.deepcopy(draw(INSTEAD))
            case _ if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[last]))
    return resource


JSON_TOKENS = [
    *(b'{ [ ] } " , : - null NaN {} [] [[[[ 1e2000000000 -0 01 1.e5 .5 true'.split()),
    *(b'\\u0000 \\ud800 \\x \\ \x00 \xff \xef\xbb\xbf "resourceType":"Patient", "id":"x",'.split()),
    b'"extension":[{"url":""}],',
    b"1" * 400,
    b" " * 400,
]
XML_TOKENS = [
    *(b"< > & &amp; &lt; &#0; &#xD800; &x; %x; <![CDATA[ ]]> <!-- --> <?x?> </Patient> / = \" '".split()),
    b"<!DOCTYPE x>",
    b'<!DOCTYPE x [<!ENTITY x "y">]>',
    b'<?xml version="1.1" encoding="utf-16"?>',
    b' value="1e2000000000"',
    b' xmlns="http://hl7.org/fhir"',
    b' xmlns:f="http://hl7.org/fhir"',
    b'<a xmlns="">',
    b"<id value='x'/>",
    b'<div xmlns="http://www.w3.org/1999/xhtml"><script/></div>',
    b"<contained>",
    b"\x00",
    b"\xff",
]


@st.composite
def tampered(draw: st.DrawFn, text: bytes, tokens: list[bytes]) -> bytes:
    """`text`, cut, repeated or with something put into it, once to four times."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        match draw(st.sampled_from(["insert", "cut", "replace", "repeat", "end"])):
            case "insert":
                text = text[:start] + draw(st.sampled_from(tokens)) + text[start:]
            case "cut":
                text = text[:start] + text[end:]
            case "replace":
                text = text[:start] + draw(st.sampled_from(tokens)) + text[end:]
            case "repeat":
                text = text[:end] + text[start:end] * draw(st.integers(1, 40)) + text[end:]
            case "end":
                text = text[: max(start, 1)]
    return text


JSON_TEXTS = [json.dumps(resource).encode() for resource in VALID]
XML_TEXTS = [to_xml(from_text(text)) for text in JSON_TEXTS]

OPERATIONS = st.sampled_from(
    ["add", "remove", "replace", "move", "copy", "test", "insert", "delete", "x", ""]
)
POINTERS = st.one_of(
    st.sampled_from(
        """
        /gender /name /name/0 /name/- /name/99999999999999999999 /name/-1 /name/0/family /id
        /meta /meta/versionId /resourceType / // /~ /~01 /~2 /x/y/z gender
        /name/01 /text/div /contained/0 /name/0/given/0
        """.split()
    ),
    st.text(max_size=8),
)
FHIRPATHS = st.one_of(
    st.sampled_from(
        [
            *("Patient Patient.name Patient.name[0] Patient.name[99] Patient.id name.given".split()),
            "Observation",
            "Patient.name.where(use = 'official')",
            "Patient.name.where($this.given.exists()).first().given",
            "Patient.descendants().descendants()",
            "repeat(children())",
            "Patient.name.given | Patient.name.family",
            "%resource.name",
            "resolve()",
            "'a'.matches('(a+)+$')",
            "1 / 0",
            "(((((",
            "a" * 3_000,
            "Patient" + ".name.where(true)" * 200,
        ]
    ),
    st.text("Patient.name()[]'0=$%", max_size=20),
)
SELECTORS = st.one_of(
    st.sampled_from(
        [
            *("f:Patient f:Patient/f:gender/@value Patient/gender //f:name / . * @value".split()),
            "f:Patient/f:name[1]",
            "f:Patient/f:name[f:family/@value='x']",
            "id('x')",
            "f:Patient/f:name[position()=last()]",
            "f:Patient/text()",
            "f:Patient" + "/f:name" * 300,
            "((((",
            "x:y",
        ]
    ),
    st.text("f:Patient/name[]@'=", max_size=20),
)


def _json_patches() -> st.SearchStrategy[bytes]:
    values = st.one_of(INSTEAD, st.sampled_from(VALID[:2]))
    members = st.fixed_dictionaries(
        {}, optional={"op": OPERATIONS, "path": POINTERS, "from": POINTERS, "value": values, "x": INSTEAD}
    )
    changes = st.lists(st.one_of(members, INSTEAD), max_size=4)
    return st.one_of(changes, INSTEAD).map(lambda change: json.dumps(change).encode())


def _fhirpath_patches() -> st.SearchStrategy[bytes]:
    parts = st.one_of(
        OPERATIONS.map(lambda code: {"name": "type", "valueCode": code}),
        FHIRPATHS.map(lambda path: {"name": "path", "valueString": path}),
        st.sampled_from(["given", "family", "x", ""]).map(lambda name: {"name": "name", "valueString": name}),
        INSTEAD.map(lambda value: {"name": "value", "valueString": value}),
        st.integers(-2, 10**12).map(lambda index: {"name": "index", "valueInteger": index}),
        INSTEAD.map(lambda value: {"name": "value", "part": [{"name": "given", "valueString": value}]}),
    )
    operations = st.lists(parts, max_size=5).map(lambda part: {"name": "operation", "part": part})
    return st.lists(operations, max_size=3).map(
        lambda each: json.dumps({"resourceType": "Parameters", "parameter": each}).encode()
    )


@st.composite
def _xml_patches(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(["add", "replace", "remove", "diff", "x"]))
    sel = draw(SELECTORS).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    type = draw(
        st.sampled_from(["", ' type="@value"', ' type="namespace::x"', ' pos="before"', ' ws="both"'])
    )
    content = draw(st.sampled_from(["", "female", '<f:gender value="male"/>', "<x/>", "<f:name/>" * 50]))
    text = f'<diff xmlns:f="http://hl7.org/fhir"><{name} sel="{sel}"{type}>{content}</{name}></diff>'.encode()
    return draw(tampered(text, XML_TOKENS)) if draw(st.booleans()) else text


URLS = st.one_of(
    st.sampled_from(
        """
        Patient Patient/d0 Patient/fuzzed Patient?identifier=x Patient?_count=1 Patient/d0/_history _history
        Patient/d0/_history/1 Observation/o-d0 metadata $validate Patient/$validate Patient/d0/$meta / ? # //x
        http://evil.example/Patient/1 http://fhir.example/fhir/Patient/d0 ../Patient/d0 Patient/%00 Binary
        urn:uuid:6f2f3c5e-0000-4000-8000-000000000001 Nonsense Nonsense/1 Patient/$ _search Patient?nonsense=1
        """.split()
    ),
    st.text(max_size=10),
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""])
CONDITIONS = ("ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist")


@st.composite
def bundles(draw: st.DrawFn) -> bytes:
    """A batch or transaction of entries that name anything at all."""
    wishes = st.one_of(
        INSTEAD, st.sampled_from(['W/"1"', "*", "identifier=x", "2026-01-01T00:00:00Z", "_id=d0"])
    )
    requests = st.fixed_dictionaries(
        {"method": METHODS, "url": URLS}, optional=dict.fromkeys(CONDITIONS, wishes)
    )
    addresses = st.sampled_from(
        [
            "urn:uuid:6f2f3c5e-0000-4000-8000-000000000001",
            "urn:oid:1.2.3",
            "Patient/d0",
            "http://x/Patient/1",
            "",
        ]
    )
    references = addresses.map(
        lambda reference: {"resourceType": "Basic", "code": {}, "subject": {"reference": reference}}
    )
    entries = st.fixed_dictionaries(
        {"request": requests},
        optional={
            "resource": st.one_of(resources(), references, st.sampled_from(VALID[:3])),
            "fullUrl": st.one_of(addresses, st.text(max_size=8)),
        },
    )
    kind = draw(st.sampled_from(["batch", "transaction", "history", "x"]))
    each = draw(st.lists(st.one_of(entries, INSTEAD), max_size=4))
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": each}).encode()


BODIES: Mapping[str, st.SearchStrategy[bytes]] = {
    "application/fhir+json": st.one_of(
        resources().map(lambda resource: json.dumps(resource).encode()),
        st.sampled_from(JSON_TEXTS).flatmap(lambda text: tampered(text, JSON_TOKENS)),
        _fhirpath_patches(),
        bundles(),
        st.binary(max_size=40),
    ),
    "application/fhir+xml": st.one_of(
        st.sampled_from(XML_TEXTS),
        st.sampled_from(XML_TEXTS).flatmap(lambda text: tampered(text, XML_TOKENS)),
        st.binary(max_size=40),
    ),
    "application/json-patch+json": _json_patches(),
    "application/xml-patch+xml": _xml_patches(),
    "application/x-www-form-urlencoded": st.one_of(
        st.binary(max_size=40), st.sampled_from([b"name=x&_count=1", b"%", b"=" * 300, b"a&" * 300])
    ),
}
"""Bodies by the Content-Type that they claim."""
