"""The benchmark of searches runs, and its report says what it is asked for. No test asserts a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.bench.rounds import Run
from conformance.bench.search.__main__ import Options, options, report
from conformance.bench.search.asked import ASKED, Asked
from conformance.bench.search.loading import Load
from conformance.bench.search.measuring import Examined, Measured
from conformance.bench.search.report import lines

FEW = Options(patients=3, requests=2, workers=1, port=0)


async def test_each_search_is_measured_explained_and_reported(tmp_path: Path) -> None:
    told = "\n".join(await report(tmp_path, FEW))
    for asked in ASKED:
        assert f"| {asked.what} | " in told
    assert "| refused: " not in told
    assert "| `tok_1_seq_1` |" in told
    assert "resources of 3 patients loaded in" in told


def test_what_looks_at_too_much_or_takes_too_long_is_not_met() -> None:
    load, sizes = Load(1, 1, 1.0, 1.0, 1.0), {"count": 1, "size": 1, "storageSize": 1, "indexSizes": {"x": 1}}
    quick, slow = Run(1.0, (1.0,) * 10), Run(1.0, (51.0,) * 10)
    verdicts = [
        ("| met |", quick, Examined(1000, 1000, 3)),
        ("| **not met** |", quick, Examined(1001, 3, 3)),
        ("| **not met** |", quick, Examined(3, 1001, 3)),
        ("| met |", quick, Examined(2000, 1, 100)),
        ("| **not met** |", slow, Examined(1, 1, 1)),
    ]
    for verdict, run, examined in verdicts:
        found = [Measured(Asked("what", "Patient"), 1, run, examined)]
        assert any(line.endswith(verdict) for line in lines(found, load, sizes, {"cpus": "2"}))


def test_a_search_that_is_refused_says_why() -> None:
    load, sizes = Load(1, 1, 1.0, 1.0, 1.0), {"count": 1, "size": 1, "storageSize": 1, "indexSizes": {}}
    refused = [Measured(Asked("what", "Patient"), None, None, None, "403: too costly")]
    assert any("refused: 403: too costly" in line for line in lines(refused, load, sizes, {}))


@pytest.mark.parametrize("kept", [None, Path("million")])
def test_options_have_the_defaults_of_make_bench_search(kept: Path | None) -> None:
    given = options([] if kept is None else ["--data", str(kept)])
    assert given == Options(data=kept)
