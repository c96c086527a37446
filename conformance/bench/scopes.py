"""
What the scopes of a token add to a read, and what it costs to know whose token it is.

Timed as the stages are: in this process, by calling what the server calls, by the CPU time of the thread. The
scopes' part is to find what they cover, to make the restriction of it, and to judge the resource by it;
consent, which is asked in the same place, is not part of it. It is told as a share of all CPU time that the
workers take for an audited read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from conformance.bench.figures import Cost, Share
from conformance.bench.scene import Scene
from conformance.bench.stages import CONTACT, RESOURCES, Stand, standing
from fhir_server.interactions.access import Access
from fhir_server.pipeline.admission import right_of
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.smart.tokens import Grant
from fhir_server.store.documents import version

SCOPES_PERCENT_MAX: Final = 10.0
TOKEN_MICROSECONDS_MAX: Final = 100.0
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_READER: Final = "Practitioner/bench"

Item = TypeVar("Item")


async def shares(scene: Scene, costs: Iterable[Cost]) -> list[Share]:
    """Of a read by each kind of scope, and of the check of a token."""
    read = next(cost.workers for cost in costs if cost.what == "read")
    async with standing(scene) as stand:
        resources = scene.raw.served["resources"]
        found = await resources.find({"ty": "Observation"}).to_list(RESOURCES)
        versions = [version(fields) for fields in found]
        patient = next((id for one in versions for id in one.entry.patients), "1")
        kinds = {
            "system/*.cruds": Grant("bench", "system/*.cruds", 3600),
            "user/*.rs": Grant("bench", "user/*.rs", 3600, user=_READER),
            "patient/*.rs": Grant("bench", "patient/*.rs", 3600, patient=patient),
            "three granular ones": Grant("bench", _granular(), 3600, user=_READER),
        }
        of_scopes = [
            Share(
                f"scopes: {kind}",
                _rounds(stand, _judgement(_caller(stand, grant)), versions),
                "a read",
                read,
                SCOPES_PERCENT_MAX,
            )
            for kind, grant in kinds.items()
        ]
        return [*of_scopes, *_of_tokens(stand)]


def _granular() -> str:
    codes = ("laboratory", "vital-signs", "survey")
    return " ".join(f"user/Observation.rs?category={_CATEGORY}|{code}" for code in codes)


def _caller(stand: Stand, grant: Grant) -> Caller:
    now = int(stand.services.clock().timestamp())
    tokens = stand.services.tokens
    return tokens.verify(tokens.issue(grant, now=now, token_id=CONTACT.request_id), now=now)


def _judgement(caller: Caller) -> Callable[[Version], object]:
    def judge(one: Version) -> bool:
        return Access(right_of(caller, one.key.type, "r"), _everybody).sees(one)

    return judge


def _everybody(_patients: object) -> bool:
    return True


def _of_tokens(stand: Stand) -> list[Share]:
    tokens, clock = stand.services.tokens, stand.services.clock

    def verify(token: str) -> object:
        return tokens.verify(token, now=int(clock().timestamp()))

    def verify_anew(token: str) -> object:
        tokens.forget(_no_codes)
        return verify(token)

    limit = "a tenth of a millisecond"
    return [
        Share("token: remembered", _rounds(stand, verify, [stand.token]), limit, TOKEN_MICROSECONDS_MAX, 100),
        Share("token: new", _rounds(stand, verify_anew, [stand.token]), limit, TOKEN_MICROSECONDS_MAX, None),
    ]


def _no_codes(_client: str) -> frozenset[str]:
    return frozenset()


def _rounds(stand: Stand, stage: Callable[[Item], object], items: list[Item]) -> tuple[float, ...]:
    return tuple(stand.of_each(stage, items) for _ in range(stand.scene.options.rounds))
