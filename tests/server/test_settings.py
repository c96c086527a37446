"""Settings are declared once, with their meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_server.commands.settings_page import page
from fhir_server.settings import Settings, SettingsRefused, settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_says_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "python -m fhir_server.commands.settings_page > docs/settings.md"


def test_what_a_command_was_told_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_PORT", "9000")
    assert settings({"port": None}).port == 9000
    assert settings({"port": 9001}).port == 9001


NO_ZONES: list[dict[str, object]] = [
    {"time_zone": name} for name in ("Mars/Base", "Europe", "../Berlin", "localtime", "", "+02:00")
]


def test_an_unknown_setting_or_value_is_refused() -> None:
    refused: tuple[dict[str, object], ...] = (
        {"colour": "blue"},
        {"consent_base_policy": "whatever"},
        {"port": 70_000},
        *NO_ZONES,
    )
    for told in refused:
        with pytest.raises(SettingsRefused):
            settings(told)


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ({}, "http://127.0.0.1:5/fhir"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:5/fhir"),  # noqa: S104  nothing is bound
        ({"host": "::1"}, "http://[::1]:5/fhir"),
        ({"base_url": "https://fhir.example/r4/"}, "http://127.0.0.1:5/r4"),
        ({"tls_cert": "x.pem"}, "https://127.0.0.1:5/fhir"),
    ],
)
def test_a_client_on_this_machine_finds_the_base(told: dict[str, str], address: str) -> None:
    assert Settings(**told).local_address(5) == address  # type: ignore[arg-type]  # as from a command


def test_the_base_url_is_what_is_told_or_where_it_listens() -> None:
    assert Settings(base_url="https://fhir.example/fhir/").served_at(5) == "https://fhir.example/fhir"
    assert Settings().served_at(5) == "http://127.0.0.1:5/fhir"
