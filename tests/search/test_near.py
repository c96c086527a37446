"""
`near` of Location: a true radius, wherever on the Earth.

https://hl7.org/fhir/R4/location.html#search
"""

from __future__ import annotations

from math import atan2, cos, degrees, hypot, pi, radians, sin
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid, Unsupported
from fhir_server.r4.resource import Key, from_text
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Point
from fhir_server.search.predicates.great_circle import EARTH_RADIUS_METRES, is_within
from fhir_server.search.predicates.predicate import Near
from fhir_server.search.values.special import DISTANCE_DEFAULT_METRES
from tests.search.versions import finds, query

DEGREE_KM = 111.195
"""Of latitude, to the metre."""


def a_location(latitude: str, longitude: str) -> dict[str, Any]:
    return dict(
        from_text(
            b'{"resourceType":"Location","position":{"latitude":%s,"longitude":%s}}'
            % (latitude.encode(), longitude.encode())
        )
    )


CHURCH = a_location("52.3740", "4.8896")
POLE = a_location("90", "17.5")
DATE_LINE = a_location("-17.0", "179.99")


@pytest.mark.parametrize(
    ("location", "value", "is_found"),
    [
        (CHURCH, "52.3740|4.8896|1|m", True),
        (CHURCH, "51.3740|4.8896|111.19", False),
        (CHURCH, "51.3740|4.8896|111.20", True),
        (CHURCH, "51.3740|4.8896|111.20|km", True),
        (CHURCH, "51.3740|4.8896|111.20|m", False),
        (CHURCH, "51.3740|4.8896|111200|m", True),
        (CHURCH, "51.3740|4.8896|69.0|[mi_i]", False),
        (CHURCH, "51.3740|4.8896|69.1|[mi_i]", True),
        (CHURCH, "51.3740|4.8896|69.1|[mi_us]", True),
        (CHURCH, "51.3740|4.8896|60.1|[nmi_i]", True),
        (CHURCH, "51.3740|4.8896|60.0|[nmi_i]", False),
        (CHURCH, "51.3740|4.8896|1.112e2|km", True),
        (CHURCH, "+52.3740|4.8896|1e-3", True),
        (CHURCH, "52.6|4.8896", True),
        (CHURCH, "52.6|4.8896|", True),
        (CHURCH, "52.6|4.8896||m", True),
        (CHURCH, "52.9|4.8896", False),
        (CHURCH, "0|0|1,52.3740|4.8896|1", True),
        (CHURCH, "0|0|1,1|1|1", False),
        (CHURCH, "-52.3740|-175.1104|20000", False),
        (CHURCH, "-52.3740|-170|20000", True),
        # All meridians meet at a pole.
        (POLE, "90|-120|1|m", True),
        (POLE, "89.5|-170|55.5", False),
        (POLE, "89.5|-170|55.6", True),
        # 180 degrees east are 180 degrees west.
        (DATE_LINE, "-17|-179.99|2.1", False),
        (DATE_LINE, "-17|-179.99|2.2", True),
        (a_location("5", "180"), "5|-180|1|mm", True),
        (a_location("5", "-1.8e2"), "5|180.000|1|[in_i]", True),
        # What is nowhere on the Earth is not near anything.
        (a_location("90.0001", "0"), "90|0|20000", False),
        (a_location("0", "-180.0000000000000000001"), "0|180|20000", False),
        ({"resourceType": "Location"}, "0|0|20000", False),
    ],
)
def test_near_is_within_the_distance(location: dict[str, Any], value: str, is_found: bool) -> None:
    assert finds(location, "near", value) is is_found


def test_missing_asks_for_the_position() -> None:
    assert finds(CHURCH, "near:missing", "false")
    assert not finds(CHURCH, "near:missing", "true")
    assert finds({"resourceType": "Location"}, "near:missing", "true")
    assert finds(a_location("91", "0"), "near:missing", "false")


def test_a_literal_of_many_digits_is_the_nearest_point() -> None:
    entry = extract(a_location("-0.50", "12.34567890123456789012345"), Key("Location", "1"))
    assert entry.point == Point(-0.5, 12.34567890123456789012345)


@pytest.mark.parametrize(
    "value",
    [
        "52",
        "52|",
        "|4",
        "52|4|1|km|x",
        "91|4",
        "-90.00000000000000000000000000001|4",
        "52|180.5",
        "52|4|0",
        "52|4|-1",
        "52|4|20001",
        "52|4|1e99",
        "52|4|NaN",
        "Infinity|4",
        "52|4|le5",
        "52|4|1|miles",
        "52|4|1|KM",
        "52|4||parsec",
        "52|4|1|5",
        "52|4|1|kg",
        "52|4|1|m2",
        "52|4|1|[degF]",
        "52|4||kg",
        "52 |4",
        "٥٢|4",
        "1" * 30 + "|4",
        "52|4|1e1000000",
        "52.3\\|4",
    ],
)
def test_what_is_no_place_or_distance_is_refused(value: str) -> None:
    with pytest.raises(Invalid, match="`near`"):
        query("Location", ("near", value))


def test_a_refused_unit_comes_with_those_that_there_are() -> None:
    with pytest.raises(Invalid, match=r"UCUM code: .*`km`.*`\[nmi_i\]`"):
        query("Location", ("near", "1|2|3|miles"))


@pytest.mark.parametrize("modifier", ["exact", "not", "above", "Location", "missing2"])
def test_near_has_no_modifier_but_missing(modifier: str) -> None:
    with pytest.raises(Invalid, match=r"`near` .* `:missing`"):
        query("Location", (f"near:{modifier}", "1|2"))


def test_nothing_is_sorted_by_a_place() -> None:
    with pytest.raises(Unsupported, match="near"):
        query("Location", ("_sort", "near"))


def test_units_are_those_of_ucum() -> None:
    for same in (
        ("1|[mi_us]", "5280|[ft_us]", "1760|[yd_us]"),
        ("1|[mi_i]", "5280|[ft_i]", "1760|[yd_i]", "1609.344|m", "1.609344|km", "160934.4|cm"),
        ("1|[ft_i]", "12|[in_i]", "3.048|dm", "304.8|mm", "304800|um"),
        ("1|[nmi_i]", "1852|m"),
    ):
        one, *others = [query("Location", ("near", f"1|2|{distance}")).predicate for distance in same]
        assert others == [one] * len(others)
    found = query("Location", ("near", "1|2")).predicate
    assert Near(Point(1.0, 2.0), DISTANCE_DEFAULT_METRES) in getattr(found, "parts", ())


latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
points = st.builds(Point, latitudes, longitudes)


@given(points, points, st.floats(1, 20_000_000))
def test_the_radius_is_that_of_another_formula(one: Point, other: Point, metres: float) -> None:
    apart = vincenty(one, other)
    assume(abs(apart - metres) > 0.001)
    assert is_within(metres, one, other) is (apart < metres)
    assert is_within(metres, other, one) is (apart < metres)


@given(points, st.floats(0, 2 * pi), st.floats(1, 20_000_000))
def test_a_point_so_far_away_is_within_a_little_more_and_not_within_a_little_less(
    start: Point, bearing: float, metres: float
) -> None:
    end = destination(start, bearing, metres)
    assert is_within(metres + 0.01, start, end)
    assert not is_within(metres - 0.01, start, end)


def vincenty(one: Point, other: Point) -> float:
    """The distance by the arctangent, which is well-conditioned everywhere."""
    first, second = radians(one.latitude), radians(other.latitude)
    by = radians(other.longitude - one.longitude)
    east = cos(second) * sin(by)
    north = cos(first) * sin(second) - sin(first) * cos(second) * cos(by)
    along = sin(first) * sin(second) + cos(first) * cos(second) * cos(by)
    return EARTH_RADIUS_METRES * atan2(hypot(east, north), along)


def destination(start: Point, bearing: float, metres: float) -> Point:
    """Where one arrives, by vectors: no arcsine, which is coarse at the poles."""
    latitude, longitude = radians(start.latitude), radians(start.longitude)
    angle = metres / EARTH_RADIUS_METRES
    up = (cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude))
    north = (-sin(latitude) * cos(longitude), -sin(latitude) * sin(longitude), cos(latitude))
    east = (-sin(longitude), cos(longitude), 0.0)
    x, y, z = (
        cos(angle) * u + sin(angle) * (cos(bearing) * n + sin(bearing) * e)
        for u, n, e in zip(up, north, east, strict=True)
    )
    return Point(degrees(atan2(z, hypot(x, y))), degrees(atan2(y, x)))
