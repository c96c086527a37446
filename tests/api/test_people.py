"""What the pages of people are made of, and that nothing that others chose becomes markup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.api.pages.people import (
    AppLine,
    AppView,
    ErrorView,
    LoginView,
    MessageView,
    PatientLine,
    apps_page,
    code_page,
    consent_page,
    error_page,
    login_page,
    message_page,
    patients_page,
)
from fhir_server.smart.words import Offer
from tests.api.showing import APP, APPS, CODE, CONSENT, LOGIN, PAGES, PATIENTS


class Read(HTMLParser):
    """A page as a browser understands it: its elements with their attributes, and the text in each."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._within = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        self.texts.append((f"/{tag}", ""))

    def handle_data(self, data: str) -> None:
        tag, text = self.texts.pop() if self.texts else ("", "")
        self.texts.append((tag, text + data))

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def title(self) -> str:
        return dict(self.texts)["title"]

    def of(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [found for one, found in self.elements if one == tag and wanted.items() <= found.items()]

    def values(self) -> set[str | None]:
        return {found["value"] for _, found in self.elements if "value" in found}

    def holds(self, text: str) -> bool:
        return any(text in found for _, found in self.texts) or text in self.values()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_language_landmarks_one_heading_and_nothing_inline(name: str) -> None:
    read = Read(PAGES[name])
    assert read.of("html", lang="en")
    assert [read.tags.count(tag) for tag in ("header", "main", "h1", "title")] == [1, 1, 1, 1]
    assert not {"script", "style", "iframe", "object", "img"} & set(read.tags)
    named = {attribute for _, attributes in read.elements for attribute in attributes}
    assert not {found for found in named if found == "style" or found.startswith("on")}


@pytest.mark.parametrize("name", PAGES)
def test_each_field_has_a_label_and_each_reference_leads_to_an_element(name: str) -> None:
    read = Read(PAGES[name])
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes["for"] for attributes in read.of("label") if "for" in attributes}
    assert labelled <= set(ids)
    for attributes in read.of("input"):
        inside_a_label = attributes.get("type") in ("checkbox", "radio")
        assert inside_a_label or attributes.get("type") == "hidden" or attributes["id"] in labelled
    described = [str(found["aria-describedby"]) for _, found in read.elements if "aria-describedby" in found]
    assert {id for one in described for id in one.split()} <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_each_form_that_is_posted_carries_what_proves_that_it_is_ours(name: str) -> None:
    """[A10]"""
    read = Read(PAGES[name])
    posts = len(read.of("form", method="post"))
    assert len(read.of("input", type="hidden", name="csrf", value="a-csrf-value")) == posts
    searches = len(read.of("form", method="get"))
    carried = read.of("input", type="hidden", name="request", value="a-request")
    has_request = "a-request" in read.values()
    assert len(carried) == (posts + searches if has_request else 0)


def test_each_page_has_a_title_of_its_own() -> None:
    names = ("login", "code", "patients", "consent", "apps", "error", "message")
    titles = [Read(PAGES[name]).title for name in names]
    assert len(set(titles)) == len(names)
    assert titles[0] == "Log in - FHIR interoperability server"


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        (login_page(replace(LOGIN, problem="It is wrong.")), 2),
        (code_page(replace(CODE, problem="It is wrong.")), 1),
        (patients_page(replace(PATIENTS, problem="It is wrong.")), 1),
        (consent_page(replace(CONSENT, problem="It is wrong.")), 0),
        (apps_page(replace(APPS, problem="It is wrong.")), 0),
    ],
    ids=["login", "code", "patients", "consent", "apps"],
)
def test_a_problem_comes_first_in_the_title_and_is_tied_to_the_fields(page: bytes, fields: int) -> None:
    read = Read(page)
    assert read.title.startswith("Problem: It is wrong. - ")
    assert read.of("p", id="problem", role="alert")
    described = [str(found.get("aria-describedby", "")).split() for found in read.of("input")]
    assert sum("problem" in ids for ids in described) == fields


def test_fields_say_what_a_browser_may_fill_in() -> None:
    read = Read(login_page(replace(LOGIN, name="amy")))
    assert read.of("input", name="name", autocomplete="username", value="amy")
    (password,) = read.of("input", name="password", type="password", autocomplete="current-password")
    assert "value" not in password
    assert Read(code_page(CODE)).of("input", name="code", autocomplete="one-time-code", inputmode="numeric")


@pytest.mark.parametrize("name", ["login", "code", "patients"])
def test_whoever_does_not_want_to_go_on_can_cancel(name: str) -> None:
    assert Read(PAGES[name]).of("button", name="decision", value="cancel")


def test_consent_can_be_denied() -> None:
    """[A9, R54]"""
    read = Read(PAGES["consent"])
    assert [found["value"] for found in read.of("button", name="decision")] == ["allow", "deny"]


def test_who_opens_their_apps_is_not_asked_for_an_app() -> None:
    read = Read(login_page(LoginView("/auth/login", "a-csrf-value")))
    assert not read.of("button", name="decision")
    assert not read.of("input", name="request")


def test_the_app_is_told_with_the_address_it_leads_back_to() -> None:
    for name in ("login", "patients", "consent"):
        assert Read(PAGES[name]).holds(APP.name), name
        assert Read(PAGES[name]).holds("(https://growth.example)"), name


def test_everything_that_is_asked_is_ticked_and_nothing_that_is_narrower() -> None:
    """[A9]"""
    read = Read(PAGES["consent"])
    ticked = [str(found["name"]) for found in read.of("input") if "checked" in found]
    assert ticked == [f"choice-{n}" for n in range(len(CONSENT.offers))]
    assert {found["value"] for found in read.of("input") if "checked" in found} == {"all"}


def test_each_app_with_access_can_lose_it() -> None:
    """[F4]"""
    read = Read(PAGES["apps"])
    assert [found["value"] for found in read.of("button", name="grant")] == ["g1", "g2"]
    assert read.of("form", method="post", action="/auth/logout")
    assert "No app has access" in PAGES["apps-none"].decode()


def test_a_patient_is_told_with_what_is_known() -> None:
    assert PatientLine("p", "Amy").details == ("id p",)
    assert PatientLine("p", "Amy", "1987-02-20", "female", "MRN 1").details == (
        "born 1987-02-20",
        "female",
        "MRN 1",
    )


def _login(value: str) -> bytes:
    return login_page(replace(LOGIN, app=AppView(value, value), name=value, csrf=value, request=value))


def _patients(value: str) -> bytes:
    patient = PatientLine(value, value, value, value, value)
    return patients_page(replace(PATIENTS, app=AppView(value, value), query=value, patients=(patient,)))


def _nobody(value: str) -> bytes:
    return patients_page(replace(PATIENTS, query=value, patients=()))


def _consent(value: str) -> bytes:
    patient = PatientLine(value, value, value, value, value)
    offer = Offer(value, value, value, (Offer(value, value),))
    return consent_page(
        replace(
            CONSENT,
            app=AppView(value, value),
            user_name=value,
            patient=patient,
            offers=(offer, Offer(value, value)),
        )
    )


def _apps(value: str) -> bytes:
    line = AppLine(value, value, value, value, value, (value,))
    return apps_page(replace(APPS, user_name=value, apps=(line,), done=value))


def _error(value: str) -> bytes:
    return error_page(ErrorView(value, value, value))


def _message(value: str) -> bytes:
    return message_page(MessageView(value, value, "/somewhere", value))


_HOSTILE = st.one_of(
    st.sampled_from(
        [
            "</title><script>alert(1)</script>",
            '" autofocus onfocus="alert(1)',
            "' onclick='alert(1)",
            "<!-- ",
            "&lt;b&gt;",
            "{{ view.csrf }}{% block content %}",
            "\u202egnp.exe\u2067\u2066",
            "a\x00b",
            "x" * 10_000,
        ]
    ),
    st.text(min_size=1, max_size=50),
)


@pytest.mark.parametrize("page", [_login, _patients, _nobody, _consent, _apps, _error, _message])
@given(value=_HOSTILE)
def test_what_others_chose_stays_text(page: Callable[[str], bytes], value: str) -> None:
    """[X23]"""
    read = Read(page(value))
    assert read.shape == Read(page("x")).shape
    assert read.holds(value)


def test_what_is_no_character_does_not_break_a_page() -> None:
    assert b"You are <bdi>a?b</bdi>" in apps_page(replace(APPS, user_name="a\ud800b"))
