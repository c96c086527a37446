from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.folders import a_short_folder
from tests.simulation.raced import Raced
from tests.simulation.server import Serving


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a seed runs once for each that was asked for."""
    if "seed" in metafunc.fixturenames:
        first, count = (
            metafunc.config.getoption("simulation_seed"),
            metafunc.config.getoption("simulation_seeds"),
        )
        metafunc.parametrize("seed", range(first, first + count), ids="seed-{}".format)


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many kills one run has."""
    asked: int = request.config.getoption("simulation_rounds")
    return asked


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def raced() -> AsyncIterator[Raced]:
    with a_short_folder() as folder:
        serving = Serving(folder)
        try:
            await serving.start()
            yield Raced(serving, await serving.token())
            await serving.stop()
        finally:
            await serving.end()


@pytest.fixture
def races(request: pytest.FixtureRequest) -> int:
    """How many times as much as usual each race is to do."""
    asked: int = request.config.getoption("races")
    return asked
