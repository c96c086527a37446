"""https://www.w3.org/TR/CSP3/#directive-form-action"""

from __future__ import annotations

import pytest

from fhir_server.api.pages.people import policy, target_of

ONLY_OURS = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)


def test_a_form_leads_to_us_alone_unless_an_app_is_named() -> None:
    """[A10]"""
    assert policy() == ONLY_OURS
    assert policy(["https://app.example", "myapp:", "https://app.example"]) == (
        f"{ONLY_OURS} https://app.example myapp:"
    )


@pytest.mark.parametrize(
    "target",
    [
        "https://a.example; script-src *",
        "*",
        "'unsafe-inline'",
        "https://*",
        "https://a.example/path",
        "https://a.example https://b.example",
        "https://user@a.example",
        "https://a.example\n",
        "",
    ],
)
def test_what_is_no_origin_does_not_get_into_a_policy(target: str) -> None:
    with pytest.raises(AssertionError):
        policy([target])


@pytest.mark.parametrize(
    ("redirect_uri", "target"),
    [
        ("https://app.example/back?a=b", "https://app.example"),
        ("http://127.0.0.1:8765/back", "http://127.0.0.1:8765"),
        ("http://localhost:80", "http://localhost"),
        ("com.example.app:/back", "com.example.app:"),
        ("myapp://back", "myapp:"),
        ("http://[::1]:8765/back", "http:"),
    ],
)
def test_a_redirect_uri_has_a_target_that_a_policy_can_name(redirect_uri: str, target: str) -> None:
    assert target_of(redirect_uri) == target
    assert policy([target]).endswith(f" {target}")
