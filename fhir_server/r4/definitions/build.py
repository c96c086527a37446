"""
Compile R4 4.0.1 into `r4.msgpack.gz` and `vocabulary.msgpack.gz`: facts without prose, the same bytes
each time.

The source is HL7's own npm packages (CC0), which hold the specification as JSON:

    for name in hl7.fhir.r4.examples hl7.fhir.r4.expansions; do
        npm pack $name@4.0.1 && mkdir $name-4.0.1 && tar -xzf $name-4.0.1.tgz -C $name-4.0.1; done
    python -m fhir_server.r4.definitions.build \\
        hl7.fhir.r4.examples-4.0.1/package hl7.fhir.r4.expansions-4.0.1/package

The examples package also holds examples of definitions; only what says version 4.0.1 (for a
StructureDefinition: fhirVersion) is R4's own and is taken.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fhir_server.r4.definitions import FHIR_VERSION, vocabulary
from fhir_server.r4.definitions.facts import Definitions, Operation, OperationParameter
from fhir_server.r4.definitions.searching import compartments_of, search_parameters_of
from fhir_server.r4.definitions.structures import invariants_of, required_value_sets, types_of

Json = dict[str, Any]

PATH: Final = Path(__file__).with_name("r4.msgpack.gz")


def main() -> None:
    """Read the two packages, write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("examples", type=Path, metavar="EXAMPLES_DIR")
    parser.add_argument("expansions", type=Path, metavar="EXPANSIONS_DIR")
    arguments = parser.parse_args()
    packed = pack(compile_definitions(arguments.examples, arguments.expansions))
    PATH.write_bytes(packed)
    PATH.with_name(vocabulary.FILE).write_bytes(
        vocabulary.pack_vocabulary(r4_vocabulary(arguments.examples, arguments.expansions))
    )


def r4_vocabulary(examples: Path, expansions: Path) -> vocabulary.Vocabulary:
    """The code systems of the one package, the expanded value sets of the other."""
    return vocabulary.compile_vocabulary(
        _resources(examples)["CodeSystem"], _resources(expansions)["ValueSet"]
    )


def compile_definitions(examples: Path, expansions: Path) -> Definitions:
    """Everything this server wants to know of R4."""
    source = _resources(examples)
    structures = [sd for sd in source["StructureDefinition"] if _is_r4_structure(sd)]
    concrete = [sd for sd in structures if not sd["abstract"]]
    types = types_of(structures)
    resource_types = frozenset(sd["name"] for sd in concrete if sd["kind"] == "resource")
    datatypes = frozenset(sd["name"] for sd in concrete if sd["kind"] != "resource")
    required = required_value_sets(types)
    value_sets = value_sets_of(required, _resources(expansions)["ValueSet"])
    invariants = invariants_of([*structures, *_simple_quantity(source["StructureDefinition"])])
    parameters = [sp for sp in source["SearchParameter"] if sp.get("version") == FHIR_VERSION]
    return Definitions(
        resource_types=resource_types,
        datatypes=datatypes,
        types=types,
        search_parameters=search_parameters_of(parameters, types, resource_types),
        compartments=compartments_of(_of_r4(source["CompartmentDefinition"])),
        operations=tuple(_operation(od) for od in _of_r4(source["OperationDefinition"])),
        invariants=invariants,
        value_sets=value_sets,
        counts={
            "resource types": len(resource_types),
            "datatypes": len(datatypes),
            "SearchParameter": len(parameters),
            "SearchParameter without expression": sum("expression" not in sp for sp in parameters),
            **{
                f"SearchParameter of type {kind}": sum(sp["type"] == kind for sp in parameters)
                for kind in sorted({sp["type"] for sp in parameters})
            },
            "SearchParameter of other versions": len(source["SearchParameter"]) - len(parameters),
            "CompartmentDefinition": len(_of_r4(source["CompartmentDefinition"])),
            "OperationDefinition": len(source["OperationDefinition"]),
            "OperationDefinition of R4": len(_of_r4(source["OperationDefinition"])),
            "invariant keys": len(invariants),
            "ValueSet": len(source["ValueSet"]),
            "CodeSystem": len(source["CodeSystem"]),
            "ValueSet expanded": len(_by_url(_resources(expansions)["ValueSet"])),
            "ValueSet bound as required": len(required),
            "ValueSet bound as required, expanded": len(value_sets),
        },
    )


def value_sets_of(required: Iterable[str], expanded: list[Json]) -> dict[str, dict[str, frozenset[str]]]:
    """The codes of each value set that R4 binds as required, by system."""
    by_url = _by_url(expanded)
    return {url: _codes(by_url[url]) for url in sorted(required) if url in by_url}


def pack(compiled: Definitions) -> bytes:
    """The file's bytes; sets are sorted, so that the same source gives the same file."""
    plain = msgspec.to_builtins(compiled)
    plain["resource_types"].sort()
    plain["datatypes"].sort()
    for systems in plain["value_sets"].values():
        for codes in systems.values():
            codes.sort()
    return gzip.compress(msgspec.msgpack.encode(plain), compresslevel=9, mtime=0)


def _resources(package: Path) -> dict[str, list[Json]]:
    """Each resource of a package, by type; files without `.json` repeat those with it."""
    found: dict[str, list[Json]] = {}
    for path in sorted(package.glob("*-*.json")):
        resource = msgspec.json.decode(path.read_bytes())
        found.setdefault(resource["resourceType"], []).append(resource)
    return found


def _is_r4_structure(definition: Json) -> bool:
    return (
        definition.get("fhirVersion") == FHIR_VERSION
        and definition["kind"] != "logical"
        and definition.get("derivation") != "constraint"
    )


def _simple_quantity(definitions: list[Json]) -> Iterator[Json]:
    """The one constrained datatype that R4's elements use."""
    return (sd for sd in definitions if sd["url"].endswith("/StructureDefinition/SimpleQuantity"))


def _of_r4(definitions: list[Json]) -> list[Json]:
    return [definition for definition in definitions if definition.get("version") == FHIR_VERSION]


def _by_url(value_sets: list[Json]) -> Mapping[str, Json]:
    return {value_set["url"]: value_set for value_set in value_sets}


_GRAMMARS: Final = ("urn:ietf:bcp:13", "http://unitsofmeasure.org")
"""Systems whose codes are made by a grammar; an expansion of the whole system lists samples at most."""


def _codes(value_set: Json) -> dict[str, frozenset[str]]:
    includes = value_set["compose"]["include"]
    grammars = {
        include["system"]: frozenset[str]()
        for include in includes
        if include.get("system") in _GRAMMARS and "concept" not in include and "filter" not in include
    }
    codes: dict[str, set[str]] = {}
    for concept in _concepts(value_set["expansion"].get("contains", [])):
        if concept["system"] not in grammars:
            codes.setdefault(concept["system"], set()).add(concept["code"])
    found = grammars | {system: frozenset(codes[system]) for system in sorted(codes)}
    if not found:
        raise ValueError(f"{value_set['url']} has no codes")
    return found


def _concepts(contains: list[Json]) -> Iterator[Json]:
    for concept in contains:
        if not concept.get("abstract"):
            yield concept
        yield from _concepts(concept.get("contains", []))


def _operation(definition: Json) -> Operation:
    return Operation(
        code=definition["code"],
        url=definition["url"],
        resources=tuple(definition.get("resource", ())),
        on_system=definition["system"],
        on_type=definition["type"],
        on_instance=definition["instance"],
        parameters=tuple(_operation_parameter(parameter) for parameter in definition.get("parameter", ())),
    )


def _operation_parameter(parameter: Json) -> OperationParameter:
    return OperationParameter(
        name=parameter["name"],
        use=parameter["use"],
        min=parameter["min"],
        max=None if parameter["max"] == "*" else int(parameter["max"]),
        type=parameter.get("type"),
        search_type=parameter.get("searchType"),
        targets=tuple(target.rsplit("/", 1)[1] for target in parameter.get("targetProfile", ())),
        parts=tuple(_operation_parameter(part) for part in parameter.get("part", ())),
    )


if __name__ == "__main__":
    main()
