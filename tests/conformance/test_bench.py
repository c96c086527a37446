"""The benchmark runs, and its report says what it is asked for. No test asserts a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import pytest_asyncio

from conformance.bench.__main__ import measured
from conformance.bench.figures import Comparison, Figures, Goal, Share
from conformance.bench.options import Options, options
from conformance.bench.report import lines, write
from conformance.bench.rounds import Allowance, Rounds, Run


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def figures() -> Figures:
    """Those of a run of a few requests."""
    return await measured(Options(Allowance(0.2, 8), rounds=1, in_flight=4, patients=2))


def test_each_goal_is_compared_with_the_raw_driver(figures: Figures) -> None:
    with_a_goal = [str(comparison.goal) for comparison in figures.comparisons if comparison.goal]
    assert sorted(with_a_goal) == [
        "< 1",
        "< 1",
        "< 1.5",
        "< 3",
        ">= 0.3",
        ">= 0.5",
        ">= 0.5",
        ">= 0.5",
        ">= 0.6",
        ">= 0.6",
        ">= 1",
        ">= 2",
    ]
    assert all(comparison.ours > 0 and comparison.raw > 0 for comparison in figures.comparisons)


def test_the_cpu_time_of_each_stage_is_named(figures: Figures) -> None:
    stages = {cost.what: set(cost.stages) for cost in figures.costs}
    assert stages["read"] >= {"HTTP", "token", "policy", "record", "driver"}
    assert stages["create"] >= stages["read"] | {"parse", "validate", "extract"}
    assert all(cost.workers >= 0 and cost.mongod >= 0 for cost in figures.costs)


def test_what_scopes_and_tokens_cost_is_told_as_a_share(figures: Figures) -> None:
    told = [share.what for share in figures.shares]
    assert told == [
        "scopes: system/*.cruds",
        "scopes: user/*.rs",
        "scopes: patient/*.rs",
        "scopes: three granular ones",
        "token: remembered",
        "token: new",
    ]
    assert all(share.median > 0 and share.of_microseconds > 0 for share in figures.shares)
    assert [share.percent_max for share in figures.shares] == [10, 10, 10, 10, 100, None]


def test_the_flood_of_logins_is_looked_at_or_refused(figures: Figures) -> None:
    [flood] = [one for one in figures.comparisons if "logins" in one.what]
    assert "429 with Retry-After" in flood.limit
    assert flood.unit == "ms"


def test_a_share_is_that_of_the_median_of_its_rounds() -> None:
    share = Share("scopes", (1.0, 3.0, 2.0), "a read", 40.0, 5.0)
    assert (share.percent, share.is_met) == (5.0, False)


def test_the_memory_of_each_process_is_named(figures: Figures) -> None:
    assert set(figures.memory) == {"workers", "supervisor", "mongod"}
    assert all(size > 0 for size in figures.memory.values())


def test_the_report_names_each_comparison(figures: Figures) -> None:
    report = "\n".join(lines(figures))
    assert all(comparison.what in report for comparison in figures.comparisons)
    assert all(share.what in report for share in figures.shares)


def test_the_json_has_the_ratio_of_each_round(figures: Figures, tmp_path: Path) -> None:
    write(figures, tmp_path / "figures.json")
    told = json.loads((tmp_path / "figures.json").read_bytes())
    assert [len(comparison["ratios"]) for comparison in told["comparisons"]] == [1] * len(figures.comparisons)


def test_an_allowance_ends_with_its_requests_or_its_time() -> None:
    assert list(Allowance(60.0, 3).of(range(10))) == [0, 1, 2]
    assert list(Allowance(0.0).of(range(10))) == []


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    rounds = Rounds(
        tuple(Run(1.0, (1.0,) * n) for n in (10, 20, 90)), tuple(Run(1.0, (1.0,) * 10) for _ in range(3))
    )
    compared = Comparison("read", "find_one", rounds, Goal(2.0))
    assert compared.ratios == [1.0, 2.0, 9.0]
    assert (compared.ratio, compared.is_met) == (2.0, True)


@pytest.mark.parametrize(
    ("goal", "ratio", "met"), [(Goal(2), 1.99, False), (Goal(1.5, at_least=False), 1.4, True)]
)
def test_a_goal_is_a_least_or_a_most(goal: Goal, ratio: float, met: bool) -> None:
    assert goal.is_met(ratio) is met


def test_options_have_the_defaults_of_make_bench() -> None:
    assert options([]) == Options()
    assert options(["--requests", "7"]).allowance.requests_max == 7
