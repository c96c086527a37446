"""Requests to every route, with addresses, ids, queries, headers and bodies that nobody should send."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from fhir_server.api.routes import ROUTES
from tests.server.fuzz.bodies import BODIES, SECRET

Headers = list[tuple[bytes, bytes]]

NAMES = st.one_of(
    st.sampled_from(
        """
        _count _sort _cursor _total _summary _include _id _lastUpdated _type _since _at _format _elements _has
        _list name birthdate identifier code subject patient date value-quantity entity agent url gender:not
        name:exact subject:identifier subject:Patient birthdate:missing url:below url:above subject.name
        _pretty mode profile probability _text _content code:in code:not-in code:below gender:above
        """.split()
    ),
    st.text(max_size=10),
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.text("0123456789-:TZ.+gelsaptbn", max_size=30),
    st.text("|,\\$/:#a1", max_size=12),
    st.sampled_from(
        """
        Patient/1 $ne true -_lastUpdated Observation:subject count accurate 1e9 ge2020-01-01 9999 lt0001-01-01
        http://a.example/b|1 WzEsIngiLDFd json xml 1e2000000000 ap1e2000000000 data text update
        """.split()
    ),
)
# What is sorted by, included or counted is a name, and named in a refusal; what is searched for is not.
PARAMETERS = st.one_of(
    st.tuples(NAMES, VALUES),
    st.tuples(
        st.sampled_from("name birthdate _id identifier subject date code gender _cursor".split()),
        st.just(SECRET),
    ),
)
# Those that can stand in a header at all: what is no HTTP does not come as far as FHIR.
LATIN = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
HEADER_NAMES = """
    If-Match If-None-Match If-Modified-Since Prefer Accept X-Request-Id Content-Type If-None-Exist Range
    If-Range Content-Encoding Accept-Encoding Expect Origin Host X-Security-Context X-Forwarded-For Cookie
""".split()
HEADER_VALUES = st.one_of(
    st.text(LATIN, max_size=20).map(str.strip),
    st.sampled_from(['W/"1"', "*", "return=OperationOutcome", "handling=lenient", "text/json", SECRET]),
    st.sampled_from(["Sat, 21 Nov 2026 10:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 +2359", "identifier=x|y"]),
    st.sampled_from(
        ["bytes=0-", "bytes=-1", "bytes=9-1,0-0", "gzip", "gzip;q=0", "application/fhir+xml;q=2"]
    ),
    st.sampled_from(["application/fhir+xml", "x" * 5_000, "a;" * 500, "Patient/d0", "_id=d0&_id=x"]),
)
STEPS = {
    "{type}": st.sampled_from("Patient Observation AuditEvent Group Binary Consent Foo patient".split()),
    "{id}": st.sampled_from(["d0", "o-d0", "b-d0", "fuzzed", "x.1.0", "\0", "$a", "_x"])
    | st.text(min_size=1, max_size=6),
    "{compartment}": st.sampled_from("Patient Encounter Device Practitioner Group Foo".split()),
    "{vid}": st.sampled_from(["1", "2", "-1", "x"]) | st.text(min_size=1, max_size=4),
}


@dataclass(frozen=True, slots=True)
class Thrown:
    """One request."""

    method: str
    address: str
    headers: Headers
    body: bytes | None


@st.composite
def requests(draw: st.DrawFn) -> Thrown:
    """A request to one of the routes, with anything in each of its places."""
    route = draw(st.sampled_from(ROUTES))
    steps = [draw(STEPS[step]) if step in STEPS else step for step in route.template.split("/")]
    method = draw(st.sampled_from([*[route.method] * 6, "HEAD", "PATCH", "OPTIONS", "TRACE"]))
    query = urlencode(draw(st.lists(PARAMETERS, max_size=3)))
    media = draw(st.sampled_from(list(BODIES)))
    stated = draw(st.lists(st.tuples(st.sampled_from(HEADER_NAMES), HEADER_VALUES), max_size=3))
    headers = [("Content-Type", media), ("Prefer", "return=minimal")] if draw(st.integers(0, 9)) else []
    # A second Host is no HTTP.
    given = [pair for number, pair in enumerate(stated) if pair[0] != "Host" or number == 0]
    return Thrown(
        method,
        "/" + "/".join(quote(step, safe="$") for step in steps) + (f"?{query}" if query else ""),
        [(name.encode(), value.encode("latin-1")) for name, value in (*headers, *given)],
        draw(BODIES[media]) if method in ("POST", "PUT", "PATCH") else None,
    )


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """What comes before a body, byte by byte: a request line and headers, some of them none."""
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"FOO", b"", b"\xff"]))
    path = draw(
        st.one_of(st.sampled_from([b"/fhir/Patient/d0", b"/fhir", b"/", b"*"]), st.binary(max_size=20))
    )
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"HTTP", b""]))
    names = st.one_of(
        st.sampled_from([b"Host", b"Content-Length", b"Transfer-Encoding", b"Upgrade", b"Connection", b"TE"]),
        st.sampled_from([name.encode() for name in HEADER_NAMES]),
        st.binary(max_size=8),
    )
    values = st.one_of(st.binary(max_size=20), st.sampled_from([b"0", b"-1", b"chunked", b"h2c", b"5, 6"]))
    lines = draw(st.lists(st.tuples(names, values).map(b": ".join), max_size=5))
    return b"\r\n".join([b" ".join([method, path, version]), b"Connection: close", *lines])
