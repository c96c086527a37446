"""txt-1 and txt-2: a narrative shows, and does nothing. https://hl7.org/fhir/R4/narrative.html."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.narrative import narrative_fault


def div(inside: str, attributes: str = "") -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml"{attributes}>{inside}</div>'


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


def test_depth_costs_no_stack() -> None:
    deep = "<div>" * 100_000 + "x" + "</div>" * 100_000
    assert narrative_fault(div(deep)) is None


@given(st.text(max_size=60))
def test_any_text_is_judged_without_a_fault(text: str) -> None:
    assert narrative_fault(text)
    narrative_fault(div(text))
