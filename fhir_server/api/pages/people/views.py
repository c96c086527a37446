"""
What each page is made of.

Every form posts `csrf` and, while an app is authorized, `request`; a button that ends the authorization
posts `decision=cancel`. Names and addresses may hold anything at all: pages show them as text.
`problem` is what was wrong with what was posted, in a sentence; it stands in the title, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.smart.words import Offer


@dataclass(frozen=True, slots=True)
class AppView:
    """The app that asks: its name, and the origin (or scheme) to which people are sent back."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class PatientLine:
    """A patient, as people tell one from another; what is not known is empty."""

    id: str
    name: str
    birth_date: str = ""
    sex: str = ""
    identifier: str = ""

    @property
    def details(self) -> tuple[str, ...]:
        """Besides the name; the id when there is nothing else."""
        born = f"born {self.birth_date}" if self.birth_date else ""
        known = tuple(detail for detail in (born, self.sex, self.identifier) if detail)
        return known or (f"id {self.id}",)


@dataclass(frozen=True, slots=True)
class LoginView:
    """
    Posts `name` and `password`.

    Without an app somebody opens the list of their apps; `request` is empty then and not posted.
    """

    action: str
    csrf: str
    request: str = ""
    app: AppView | None = None
    name: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CodeView:
    """The second factor. Posts `code`."""

    action: str
    csrf: str
    request: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class PatientsView:
    """
    Patients to choose one of. Posts `patient`, the id, or `decision=search` with `query`: no name of a
    patient stands in an address.

    `more` says that further patients are found that are not shown.
    """

    action: str
    csrf: str
    request: str
    app: AppView
    query: str = ""
    patients: tuple[PatientLine, ...] = ()
    more: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentView:
    """
    What the app asks for, to allow in whole or in part. Posts `decision` (`allow` or `deny`).

    What `chosen` makes of the rest is what is allowed.
    """

    action: str
    csrf: str
    request: str
    app: AppView
    user_name: str
    patient: PatientLine | None
    offers: tuple[Offer, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class AppLine:
    """Access that was granted: to whom, when (as text), and what it is in words."""

    grant: str
    name: str
    given: str
    last_used: str = ""
    patient: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppsView:
    """
    The apps that have access. Posts `grant`, the one to end; `log_out` is where logging out is posted.

    `done` says what was done, after it was; `latest` how many are shown, where there are more of them.
    """

    action: str
    csrf: str
    user_name: str
    apps: tuple[AppLine, ...]
    log_out: str
    done: str | None = None
    latest: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorView:
    """What went wrong, and the id under which the log knows it; both without patient data."""

    title: str
    explanation: str
    request_id: str


@dataclass(frozen=True, slots=True)
class MessageView:
    """Something that is done, such as "You are logged out"; `link` leads on, if anywhere."""

    title: str
    explanation: str = ""
    link: str = ""
    link_words: str = ""
