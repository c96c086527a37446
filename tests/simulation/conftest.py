from __future__ import annotations

import pytest


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
