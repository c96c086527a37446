"""txt-1 and txt-2: a narrative shows, and does nothing. https://hl7.org/fhir/R4/narrative.html."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.narrative import DEPTH_MAX, narrative_fault
from fhir_server.r4.validation import validate


def div(inside: str, attributes: str = "") -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml"{attributes}>{inside}</div>'


ACTIVE = {"status": "generated", "div": div('<p onclick="x">x</p>')}


@pytest.mark.parametrize(
    "text",
    [
        div("text"),
        div("<p>1 &lt; 2 &amp; 3 &#160;</p>"),
        div('<a href="Patient/1">x</a><a href="#n">y</a><a name="n"/>'),
        div('<a href="https://example.org">x</a><a href="mailto:a@example.org">y</a>'),
        div('<img src="data:image/png;base64,AA==" alt="x"/>'),
        div('<img src="#p"/>'),
        div('<table class="grid"><tbody><tr><td colspan="2">x</td></tr></tbody></table>'),
        div("x", ' xml:lang="de" lang="de" dir="ltr"'),
        div('<span style="color: red; background-image: url(line.png)">x</span>'),
        div("<!-- a comment -->x"),
        div('<img src="https://example.org/x.png"/>'),
        div('<p style="background: url(data:image/png;base64,AA==); color: rgb(1, 2, 3)">x</p>'),
        div('<p style="position: relative; background-position: 0 0; width: calc(1em + 2px)">x</p>'),
        '<h:div xmlns:h="http://www.w3.org/1999/xhtml">x</h:div>',
    ],
)
def test_these_are_narratives(text: str) -> None:
    assert narrative_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "<div>no namespace</div>",
        '<p xmlns="http://www.w3.org/1999/xhtml">x</p>',
        div("x") + div("y"),
        div("x") + "y",
        div("<p>x"),
        div("<P>x</P>"),
        div(""),
        div(" \n "),
        div("<p> </p><br/>"),
        div("<script>x</script>"),
        div("<style>x</style>"),
        div('<link href="x" rel="stylesheet"/>x'),
        div('<iframe src="http://example.org"/>x'),
        div('<object data="x"/>x'),
        div('<embed src="x"/>x'),
        div('<form action="x"><input name="y"/></form>x'),
        div("<button>x</button>"),
        div('<svg xmlns="http://www.w3.org/2000/svg" onload="x"/>x'),
        div('<math xmlns="http://www.w3.org/1998/Math/MathML"/>x'),
        div('<base href="http://example.org"/>x'),
        div('<meta http-equiv="refresh"/>x'),
        div("<p onclick='x'>x</p>"),
        div("<p ONCLICK='x'>x</p>"),
        div("x", ' onload="x"'),
        div('<a href="javascript:alert(1)">x</a>'),
        div('<a href="JaVaScRiPt:alert(1)">x</a>'),
        div('<a href=" javascript:alert(1)">x</a>'),
        div('<a href="java&#10;script:alert(1)">x</a>'),
        div('<a href="&#106;avascript:alert(1)">x</a>'),
        div('<a href="vbscript:x">x</a>'),
        div('<a href="data:text/html;base64,AA==">x</a>'),
        div('<a href="file:///etc/passwd">x</a>'),
        div('<img src="javascript:alert(1)"/>'),
        div('<img src="data:text/html,x"/>'),
        div('<img src="x" onerror="alert(1)"/>'),
        div('<img srcset="x"/>x'),
        div('<p style="background: url(javascript:x)">x</p>'),
        div("<p style=\"background: url( 'JAVASCRIPT:x' )\">x</p>"),
        div('<p style="width: expression(x)">x</p>'),
        div('<p style="behavior: url(x)">x</p>'),
        div('<p style="background: url(http://example.org/x)">x</p>'),
        div('<p style="background: url(//example.org/x)">x</p>'),
        div('<p style="background: url(/\\example.org/x)">x</p>'),
        div('<p style="background: url(data:image/svg+xml,x)">x</p>'),
        div('<p style="background: url(a) url(https://example.org">x</p>'),
        div("<p style=\"background: image-set('https://example.org' 1x)\">x</p>"),
        div("<p style=\"background: image('https://example.org')\">x</p>"),
        div('<p style="background: -webkit-cross-fade(url(a), url(b), 1)">x</p>'),
        div('<p style="width: exp/**/ression(x)">x</p>'),
        div('<p style="width: \uff45xpression(x)">x</p>'),
        div('<p style="position:fixed; inset: 0">x</p>'),
        div('<p style="POSITION : absolute">x</p>'),
        div('<img src="data:image/svg+xml;base64,AA=="/>'),
        div('<img src="ftp://example.org/x.png"/>'),
        div('<img src="x" lowsrc="javascript:x"/>'),
        div('<a href="data:image/png;base64,AA==">x</a>'),
        div('<a href="feed:javascript:x">x</a>'),
        div('<a href="blob:x">x</a>'),
        div('<a href="&#xa0;javascript:x">x</a>'),
        div('<a href="x" ping="y">x</a>'),
        div('<a href="x">x</a>', ' xml:base="javascript:x//"'),
        div("<!--><img src=x onerror=alert(1)>-->x"),
        div("<!---><img src=x onerror=alert(1)>-->x"),
        div("<!--[if IE]><script>x</script><![endif]-->x"),
        div("<![CDATA[><img src=x onerror=alert(1)>]]>"),
        div("<template>x</template>"),
        div("<noscript>x</noscript>"),
        div("<xmp>x</xmp>"),
        div('<p xmlns:h="http://www.w3.org/1999/xhtml" h:onclick="x">x</p>'),
        div('<p style="-moz-binding: url(x)">x</p>'),
        div('<p style="w\\69dth: x">x</p>'),
        div('<p xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="x">x</p>'),
        div("x&nbsp;y"),
        div("<?php x ?>y"),
        '<?xml version="1.0"?>' + div("x"),
        '<?xml-stylesheet href="x"?>' + div("x"),
        "<!DOCTYPE div>" + div("x"),
        '<!DOCTYPE div [<!ENTITY e "x">]>' + div("&e;"),
        '<!DOCTYPE div [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + div("&e;"),
        '<!DOCTYPE d [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]>' + div("&b;"),
        div("\x00"),
        div("\ud800"),
    ],
)
def test_these_are_not(text: str) -> None:
    assert narrative_fault(text)


def test_depth_is_bounded_and_costs_no_stack() -> None:
    def nested(levels: int) -> str:
        return div("<p>" * (levels - 1) + "x" + "</p>" * (levels - 1))

    assert narrative_fault(nested(DEPTH_MAX)) is None
    for levels in (DEPTH_MAX + 1, 100_000):
        assert narrative_fault(nested(levels)) == f"must not be nested deeper than {DEPTH_MAX} levels"


@given(st.text(max_size=60))
def test_any_text_is_judged_without_a_fault(text: str) -> None:
    assert narrative_fault(text)
    narrative_fault(div(text))


_NAMES = st.sampled_from(["p", "a", "img", "script", "svg", "span", "form", "SCRIPT", "h:p", "style", "b"])
_ATTRIBUTES = st.sampled_from(["href", "src", "style", "onload", "class", "xlink:href", "srcdoc", "cite"])
_VALUES = st.sampled_from(
    [
        "x",
        "java&#9;script:x",
        "&#x6a;avascript:x",
        "data:text/html,x",
        "data:image/png;base64,AA",
        "url(x)",
        "url(&quot;//x&quot;)",
        "color:red",
        "width:expression(x)",
        "https://x",
    ]
)
_TAGS = st.builds('<{} {}="{}">'.format, _NAMES, _ATTRIBUTES, _VALUES)
_PIECES = st.lists(
    st.one_of(
        _TAGS.map(lambda tag: tag[:-1] + "/>"),
        st.builds("{0}x</{1}>".format, _TAGS, _NAMES),
        st.sampled_from(["x", "<b>x</b>", "<!--", "-->", "<!-->", "<![CDATA[>", "]]>", "&lt;", "<!--x-->"]),
    ),
    max_size=5,
).map("".join)


class _Seen(HTMLParser):
    """What a browser would find: tags and attributes, read as HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, "", ""))
        self.found += [(tag, name, value or "") for name, value in attrs]


@given(_PIECES)
@settings(max_examples=300)
def test_what_is_accepted_is_passive_for_a_reader_of_html_too(inside: str) -> None:
    text = div(inside)
    if narrative_fault(text) is not None:
        return
    seen = _Seen()
    seen.feed(text)
    seen.close()
    for tag, name, value in seen.found:
        assert tag in {"div", "p", "a", "img", "span", "b"}
        assert not name.startswith("on")
        assert name not in {"srcdoc", "xlink:href"}
        plain = re.sub(r"[\x00-\x20]", "", value).lower()
        if name == "style":
            # A style does nothing but by what it calls.
            assert not re.search(r"expression\(|url\([\"']?(?:http|data|\w*script)", plain)
        elif name != "class":
            assert "script:" not in plain
            assert "expression" not in plain
            assert not plain.startswith("data:text")


@pytest.mark.parametrize(
    ("resource", "expression"),
    [
        ({"resourceType": "Patient", "text": ACTIVE}, "Patient.text.div"),
        (
            {"resourceType": "Patient", "contained": [{"resourceType": "Organization", "text": ACTIVE}]},
            "Patient.contained[0].text.div",
        ),
        (
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"fullUrl": "urn:x:1", "resource": {"resourceType": "Patient", "text": ACTIVE}}],
            },
            "Bundle.entry[0].resource.text.div",
        ),
        (
            {
                "resourceType": "Parameters",
                "parameter": [
                    {
                        "name": "a",
                        "part": [{"name": "b", "resource": {"resourceType": "Patient", "text": ACTIVE}}],
                    }
                ],
            },
            "Parameters.parameter[0].part[0].resource.text.div",
        ),
        (
            {
                "resourceType": "Composition",
                "status": "final",
                "type": {"text": "x"},
                "date": "2026-11-21",
                "author": [{"display": "x"}],
                "title": "x",
                "section": [{"title": "x", "section": [{"title": "y", "text": ACTIVE}]}],
            },
            "Composition.section[0].section[0].text.div",
        ),
    ],
)
def test_wherever_a_narrative_stands_it_is_judged(resource: dict[str, Any], expression: str) -> None:
    found = [issue.expression for issue in validate(resource) if "attributes" in issue.diagnostics]
    assert found == [(expression,)]
