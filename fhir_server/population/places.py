"""
Where people live and are looked after: cities with their postal codes, streets that are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhir_server.population.dice import Dice
from fhir_server.population.vocabulary import Element


@dataclass(frozen=True, slots=True)
class City:
    name: str
    state: str
    postal_code: str
    area_code: str


CITIES: Final = (
    City("Boston", "MA", "02118", "617"),
    City("Worcester", "MA", "01608", "508"),
    City("Springfield", "MA", "01103", "413"),
    City("Cambridge", "MA", "02139", "617"),
    City("Lowell", "MA", "01852", "978"),
    City("Providence", "RI", "02903", "401"),
    City("Hartford", "CT", "06103", "860"),
    City("Portland", "ME", "04101", "207"),
    City("Burlington", "VT", "05401", "802"),
    City("Manchester", "NH", "03101", "603"),
    City("Albany", "NY", "12207", "518"),
    City("New Bedford", "MA", "02740", "508"),
)
STREETS: Final = (
    "Alder Lane",
    "Birchwood Road",
    "Canal Street",
    "Chapel Street",
    "Copper Beech Way",
    "Cranberry Court",
    "Elm Street",
    "Ferry Road",
    "Foundry Street",
    "Granite Avenue",
    "Harbor View",
    "Hawthorn Street",
    "Juniper Road",
    "Lighthouse Lane",
    "Maple Avenue",
    "Mill Street",
    "Orchard Street",
    "Quarry Hill Road",
    "Rue des Érables",
    "Tannery Row",
    "Weaver Street",
    "Willow Court",
)


def address(dice: Dice, city: City) -> Element:
    lines = [f"{dice.between(1, 999)} {dice.pick(STREETS)}"]
    if dice.chance(0.25):
        lines.append(f"Apt {dice.between(1, 40)}")
    return {
        "use": "home",
        "line": lines,
        "city": city.name,
        "state": city.state,
        "postalCode": city.postal_code,
        "country": "US",
    }


def phone(dice: Dice, city: City) -> str:
    """In the range that is kept free for fiction: 555-0100 to 555-0199."""
    return f"+1-{city.area_code}-555-01{dice.digits(2)}"
