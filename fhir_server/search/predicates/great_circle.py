"""
How far two points of the Earth are from each other, along the surface.

The Earth is a sphere of its mean radius: the shortest way over the ellipsoid of WGS84 is up to 0.6 %
longer or shorter. The database reckons on the same sphere, and agrees but for what lies within a decimetre
of the boundary.

https://en.wikipedia.org/wiki/Great-circle_distance
"""

from __future__ import annotations

from math import cos, radians, sin
from typing import Final

from fhir_server.search.predicates.entry import Point

EARTH_RADIUS_METRES: Final = 6_371_008.8
"""The mean radius R1 of the IUGG."""


def radians_of(metres: float) -> float:
    """The angle at the centre of the Earth."""
    return metres / EARTH_RADIUS_METRES


def is_within(metres: float, one: Point, other: Point) -> bool:
    """They are at most so many metres apart; `metres` is at most half of a great circle."""
    # Haversines are compared, which grow with the distance: nothing has to be turned back into an angle.
    return _haversine(one, other) <= sin(radians_of(metres) / 2) ** 2


def _haversine(one: Point, other: Point) -> float:
    """Of the angle between the two; right at the poles and across the date line."""
    first, second = radians(one.latitude), radians(other.latitude)
    across = sin(radians(other.longitude - one.longitude) / 2) ** 2
    return sin((second - first) / 2) ** 2 + cos(first) * cos(second) * across
