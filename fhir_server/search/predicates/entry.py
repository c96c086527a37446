"""
What the store keeps of a version so that it can be found and judged without its JSON.

A token is `Type|parameter|value`, or a word of our own:

* `Observation`                          the type itself
* `Patient|_id|1`                        the id, of what has a compartment: it is in its own
* `Observation|code|8867-4`              a code, whatever its system
* `Observation|code|http://loinc.org|8867-4`   a code in a system; an empty system is `||`
* `Observation|subject|Patient/1`        a reference; absolute ones as they are
* `Observation|subject:identifier|http://a.example|7`   a logical reference, as a code
* `Observation|code:text|heart rate`     the words that go with a code, folded, their first 200 characters
* `Library|url:canonical|http://a`       a canonical URL that names it, or that it names (canonical.py)
* `Patient|identifier:of-type|http://a.example|MR|7`   an identifier with the code of its type
* `Patient|name|muller|Müller`           a string, folded to lower case without accents; as written
* `Patient|name:word|den berg`           what follows the first word of a name: its later words begin so
* `Observation|value-string:whole|...`   all of a string of more than 200 characters, in parts that overlap
* `Observation|code|`                    the element is there, but has nothing to search by
* `~deleted`                             a tombstone

A contained resource has an entry of its own within that of what contains it.

A word stands beside the tokens (words.py):

* `Condition|_text|liver`                a word of the narrative
* `Condition|_content|heart`             a word that stands elsewhere in the resource

Inside a value `|` is written `\\|` and `\\` is written `\\\\`, so no value can pass for two.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fhir_server.r4.resource import Key

DELETED = "~deleted"

Bound = int | Decimal


class Range(msgspec.Struct, frozen=True):
    """
    A value with an extent: [low, high], both inclusive.

    Dates are in microseconds since 1970; numbers and quantities are decimals, quantities with the
    `units` that they go by: `system|code`, `|code`, and those of values/quantity.py. `low` is never
    above `high`; the store's index relies on it.
    """

    parameter: str
    low: Bound
    high: Bound
    units: tuple[str, ...] = ()


class Point(msgspec.Struct, frozen=True):
    """A place on the Earth, in degrees of WGS84: latitude -90 to 90, longitude -180 to 180."""

    latitude: float
    longitude: float


class Entry(msgspec.Struct, frozen=True):
    """
    The index entry of one version.

    `patients` are the ids of the Patient compartments it belongs to (docs/compartments.md).
    `clinical_date` is the one date clinicians sort by (microseconds), None when there is none.
    `point` is where a Location is. `contained` are the resources inside it, which stand in no token here.
    """

    tokens: tuple[str, ...] = ()
    ranges: tuple[Range, ...] = ()
    patients: tuple[str, ...] = ()
    clinical_date: int | None = None
    point: Point | None = None
    words: tuple[str, ...] = ()
    contained: tuple[Contained, ...] = ()


class Contained(msgspec.Struct, frozen=True):
    """
    A resource inside another: its type and the id that it has there, what it is found by, and the names
    (`Type|param`) under which the resource around it refers to it.

    It is in nobody's compartment and has no words: whose it is, is decided by what it is in.
    """

    key: Key
    entry: Entry
    referred_to_as: tuple[str, ...] = ()


def aligned(text: str) -> str:
    r"""
    Escaped text so that a part of it can be looked for.

    A value that ends in `\\` is followed by the `|` of the next one, and `\\|` is no `\|`: a NUL, which
    no string of FHIR has, tells them apart.
    """
    return text.replace("\\\\", "\\\0")


def escape(value: str) -> str:
    """`value` as part of a token."""
    if "|" in value or "\\" in value:
        return value.replace("\\", "\\\\").replace("|", "\\|")
    return value
