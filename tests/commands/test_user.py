"""`fhir-server user`: who may log in, from the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pyotp
import pytest
from typer.testing import CliRunner

from fhir_server.cli import app
from fhir_server.pipeline.logging_in import LoginRefused, proven_by_code, proven_by_password
from fhir_server.smart.caller import Contact
from fhir_server.smart.grants import Granted
from fhir_server.smart.tokens import Grant
from fhir_server.smart.users import User
from tests.server.running import Server, a_patient, serving

CONTACT = Contact("request-1", "192.0.2.7")
CHOSEN = "correct horse battery"


class Commands:
    """Run as an operator runs them, beside a server that is running."""

    def __init__(self, mongodb_url: str, database: str, data_dir: Path) -> None:
        self._environment = {
            "FHIR_SERVER_MONGODB_URL": mongodb_url,
            "FHIR_SERVER_MONGODB_DATABASE": database,
            "FHIR_SERVER_DATA_DIR": str(data_dir),
        }

    def __call__(self, *arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from fhir_server.cli import main; main()", "user", *arguments]
        return subprocess.run(
            command, env=self._environment, input=told, capture_output=True, text=True, check=False
        )

    def said(self, *arguments: str, told: str = "") -> str:
        """What a command that did what it was asked said on standard output."""
        done = self(*arguments, told=told)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def user(mongodb_url: str, database_name: str, tmp_path: Path) -> Commands:
    return Commands(mongodb_url, database_name, tmp_path)


async def logged_in(server: Server, password: str, name: str = "ann") -> User:
    return await proven_by_password(name, password, server.services, CONTACT)


async def test_somebody_is_added_logs_in_and_is_removed(
    user: Commands, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server:
        added = user("add", " Ann ", "--fhir-user", "Practitioner/7")
        assert added.returncode == 0
        made = added.stdout.strip()
        assert len(made) == 20
        assert "Practitioner/7 is not stored yet" in added.stderr
        ann = await logged_in(server, made)
        assert (ann.name, ann.fhir_user) == ("ann", "Practitioner/7")
        assert user.said("list") == f"{ann.id}  ann  Practitioner/7  password  may log in"
        again = user("add", "ANN")
        assert (again.returncode, again.stdout) == (1, "")
        assert "of the name ann already" in again.stderr
        user.said("remove", "ann")
        assert user.said("list") == ""
        with pytest.raises(LoginRefused):
            await logged_in(server, made)
        assert user("remove", "ann").returncode == 1


async def test_a_password_is_chosen_or_made_anew(
    user: Commands, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server:
        assert user.said("add", "ann", "--password-stdin", told=f"{CHOSEN}\r\n") == ""
        assert (await logged_in(server, CHOSEN)).fhir_user is None
        for _ in range(5):
            with pytest.raises(Exception, match=r"do not log in|in a row"):
                await logged_in(server, "something else")
        assert re.search(r"locked for 0:0[01]:\d\d$", user.said("list"))
        user.said("unlock", "ann")
        assert await logged_in(server, CHOSEN)
        made = user.said("password", "ann")
        assert await logged_in(server, made)
        with pytest.raises(LoginRefused):
            await logged_in(server, CHOSEN)


async def test_a_second_factor_is_shown_to_an_app_and_taken_away(
    user: Commands, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server:
        user.said("add", "ann", "--password-stdin", told=CHOSEN)
        shown = user("second-factor", "ann")
        assert shown.returncode == 0, shown.stderr
        app = pyotp.parse_uri(shown.stdout.strip())
        assert isinstance(app, pyotp.TOTP)
        assert (app.name, app.issuer) == ("ann", "fhir.example")
        assert "█" in shown.stderr
        assert app.secret not in shown.stderr
        assert user.said("list").endswith("ann  -  password and code  may log in")
        first = await logged_in(server, CHOSEN)
        code = app.at(server.services.clock())
        assert (await proven_by_code(first, code, server.services, CONTACT)).name == "ann"
        user.said("second-factor", "ann", "--remove")
        assert (await logged_in(server, CHOSEN)).totp is None


def a_grant(account: str, now: datetime) -> Granted:
    """One to an app that may refresh its tokens."""
    later = now + timedelta(days=1)
    return Granted(
        id=f"of-{account}",
        client="app",
        account=account,
        user="Practitioner/7",
        scope="user/*.rs offline_access",
        patient=None,
        context={},
        redirect_uri="https://app.example/",
        challenge="challenge",
        nonce=None,
        auth_time=now,
        session=None,
        made=now,
        code="code",
        code_until=now,
        redeemed=True,
        refresh="refresh",
        used=now,
        until=later,
        revoked=False,
    )


@pytest.mark.parametrize(
    ("arguments", "revokes"),
    [
        (("disable", "ann"), True),
        (("password", "ann"), True),
        (("fhir-user", "ann", "Practitioner/8"), True),
        (("remove", "ann"), True),
        (("second-factor", "ann"), False),
        (("unlock", "ann"), False),
    ],
    ids=["disable", "password", "fhir-user", "remove", "second-factor", "unlock"],
)
async def test_what_apps_were_granted_ends_with_what_it_rested_on(
    user: Commands,
    mongodb_url: str,
    database_name: str,
    tmp_path: Path,
    arguments: tuple[str, ...],
    revokes: bool,
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server, server.as_() as system:
        await system.put("/Patient/1", json=a_patient(id="1"))
        user.said("add", "ann", "--fhir-user", "Practitioner/7", "--password-stdin", told=CHOSEN)
        ann = await logged_in(server, CHOSEN)
        services = server.services
        now = int(services.clock().timestamp())
        tokens = [
            services.tokens.issue(
                Grant("app", "user/*.rs", 3600, "Practitioner/7", account=account),
                now=now,
                token_id=f"of-{account}",
            )
            for account in (ann.id, "somebody-else")
        ]

        async def status(token: str) -> int:
            async with server.bearing(token) as client:
                return (await client.get("/Patient/1")).status_code

        grants = services.store.grants
        for account in (ann.id, "somebody-else"):
            await grants.add(a_grant(account, services.clock()))
        assert [await status(token) for token in tokens] == [httpx.codes.OK] * 2
        user.said(*arguments)
        expected = httpx.codes.UNAUTHORIZED if revokes else httpx.codes.OK
        assert [await status(token) for token in tokens] == [expected, httpx.codes.OK]
        held = [await grants.get(f"of-{account}") for account in (ann.id, "somebody-else")]
        assert [one.revoked for one in held if one is not None] == [revokes, False], "nor is it refreshed"


async def test_who_is_disabled_is_kept_out_until_enabled(
    user: Commands, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server:
        user.said("add", "ann", "--password-stdin", told=CHOSEN)
        user.said("disable", "ann")
        assert user.said("list").endswith("disabled")
        with pytest.raises(LoginRefused):
            await logged_in(server, CHOSEN)
        user.said("enable", "ann")
        assert await logged_in(server, CHOSEN)


@pytest.mark.parametrize(
    ("arguments", "told", "why"),
    [
        (("add", ""), "", "1 to 100 printable characters"),
        (("add", "ann", "--fhir-user", "Group/1"), "", "reference to a Practitioner"),
        (("add", "ann", "--password-stdin"), "short", "at least 12 characters"),
        (("add", "ann", "--password-stdin"), "", "at least 12 characters"),
        (("add", "ann", "--password-stdin"), "passwordpassword", "guessed first"),
        (("add", "ann", "--password-stdin"), "long " * 10_000, "at most 200"),
        (("add", "a long user name", "--password-stdin"), "A Long User Name", "the password is the name"),
        (("password", "ann", "--password-stdin"), "short", "at least 12 characters"),
        (("fhir-user", "ann", "Device/1"), "", "reference to a Practitioner"),
    ],
    ids=["name", "reference", "short", "empty", "guessed", "long", "is-name", "new-short", "not-a-person"],
)
def test_what_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, arguments: tuple[str, ...], told: str, why: str
) -> None:
    refused = Commands("mongodb://nobody.invalid", "none", tmp_path)(*arguments, told=told)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert why in refused.stderr.casefold() or why in refused.stderr
    assert "Traceback" not in refused.stderr
    assert len(told) < 5 or told not in refused.stderr


async def test_a_name_that_nobody_has_is_said_so(user: Commands) -> None:
    for command in ("password", "second-factor", "disable", "enable", "unlock", "remove", "fhir-user"):
        refused = user(command, "nobody")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "no user of this name" in refused.stderr


async def test_another_deployments_secret_makes_no_second_factor(
    user: Commands, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with serving(mongodb_url, database_name, tmp_path):
        user.said("add", "ann", "--password-stdin", told=CHOSEN)
    (tmp_path / "secret").write_text("00" * 32)
    refused = user("second-factor", "ann")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "wrapped by another secret" in refused.stderr


@pytest.mark.parametrize(
    "name",
    ["add", "list", "password", "second-factor", "fhir-user", "disable", "enable", "unlock", "remove"],
)
def test_each_command_explains_itself_with_an_example(name: str) -> None:
    told = CliRunner().invoke(app, ["user", name, "--help"])
    assert f"Example: fhir-server user {name}" in re.sub(r"[\s│]+", " ", told.output)
