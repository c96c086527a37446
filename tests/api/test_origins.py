"""Which origins a process knows, and when it looks again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from fhir_server.api.origins import KEPT_SECONDS, LOOKED_SECONDS, Origins
from fhir_server.smart.clients import Client

ORIGIN = "https://apps.example"


def _an_app(id: str, origin: str = ORIGIN) -> Client:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return Client(id, id, "patient/*.rs", None, None, made, (f"{origin}/{id}",))


@dataclass(slots=True)
class Registry:
    """Who is registered, the clock, and how often somebody looked."""

    registered: list[Client] = field(default_factory=list)
    seconds: float = 0.0
    looks: int = 0

    async def clients(self) -> list[Client]:
        self.looks += 1
        return self.registered

    def origins(self) -> Origins:
        return Origins((), self.clients, lambda: self.seconds)


async def test_an_app_that_is_registered_later_at_an_origin_that_is_known_is_known_within_a_second() -> None:
    registry = Registry([_an_app("one")])
    origins = registry.origins()
    await origins.look_for(ORIGIN)
    registry.registered.append(_an_app("two"))
    registry.seconds += LOOKED_SECONDS
    await origins.look_for(ORIGIN)
    assert registry.looks == 1, "the origin is known"
    await origins.look_for(ORIGIN, "two")
    assert origins.may_read(ORIGIN, "two")


async def test_what_is_not_known_is_looked_for_once_in_a_second() -> None:
    registry = Registry([_an_app("one")])
    origins = registry.origins()
    for client in (None, "one", "nobody"):
        for _ in range(10):
            await origins.look_for("https://evil.example", client)
            assert not origins.may_read("https://evil.example", client)
    assert registry.looks == 1


async def test_an_app_that_is_removed_is_forgotten() -> None:
    registry = Registry([_an_app("one")])
    origins = registry.origins()
    await origins.look_for(ORIGIN, "one")
    registry.registered.clear()
    registry.seconds += KEPT_SECONDS
    await origins.look_for(ORIGIN, "one")
    assert not origins.may_read(ORIGIN, "one")
