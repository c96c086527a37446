"""
`fhir-server user`: people who log in, and whom they are in the record.

It works with the server running or stopped, and all processes know at once. A password is read from standard
input or made, never taken from the command line, where others on the machine could read it. Whoever is
removed or disabled, gets another password or becomes somebody else in the record keeps nothing of what apps
were granted before.
"""

from __future__ import annotations

import secrets
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import segno
import typer

from fhir_server.commands.deployment import DataDir, MongodbUrl, utc_now, with_store
from fhir_server.commands.failure import fail
from fhir_server.commands.recording import Command, record_command
from fhir_server.r4.resource import Key
from fhir_server.settings import Settings, settings
from fhir_server.smart.keys import SecretMismatchError, load_or_create
from fhir_server.smart.lock_out import seconds_left
from fhir_server.smart.passwords import Passwords
from fhir_server.smart.revocations import of_user
from fhir_server.smart.second_factor import SecondFactors
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import LONGEST, SERVED
from fhir_server.smart.users import (
    PASSWORD_CHARACTERS_MAX,
    InvalidUser,
    User,
    login_name,
    new_fhir_user,
    new_name,
    new_password,
)
from fhir_server.store.store import Store

MADE_PASSWORD_BYTES: Final = 15
"""20 characters, 120 bits: nobody guesses it, and it can be typed once."""

_PASSWORD_BYTES_MAX: Final = 4 * PASSWORD_CHARACTERS_MAX + 2
"""In UTF-8, with the end of its line."""

user = typer.Typer(help="People who log in.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The name they log in with.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; else one is made.")
]
Change = Callable[[Store, User], Awaitable[bool]]


@user.callback()
def commands() -> None:
    """People who log in."""


@user.command()
def add(
    name: Name,
    fhir_user: Annotated[
        str | None,
        typer.Option(
            help="Whom they are: Practitioner/7, Patient/1. Without it, nothing clinical is theirs."
        ),
    ] = None,
    password_stdin: PasswordStdin = False,
    data_dir: DataDir = None,
    mongodb_url: MongodbUrl = None,
) -> None:
    """
    Add somebody who may log in; a password that was made is printed, once.

    Example: fhir-server user add ann --fhir-user Practitioner/7
    """
    try:
        known_as = new_name(name)
        reference = None if fhir_user is None else new_fhir_user(fhir_user)
        password = new_password(_read() if password_stdin else _made(), known_as)
    except InvalidUser as refusal:
        fail(str(refusal))

    async def do(store: Store) -> bool:
        id, now, hash = str(uuid.uuid4()), utc_now(), await _hashed(password)
        await _say_whether_known(store, reference)
        if not await store.users.add(User(id, known_as, hash, reference, now, now)):
            return False
        await record_command(store, "user add", id, fhir_user=reference)
        return True

    if not with_store("user", data_dir, mongodb_url, do):
        fail(f"There is a user of the name {known_as} already")
    if not password_stdin:
        typer.echo(password)


@user.command("list")
def list_users(data_dir: DataDir = None, mongodb_url: MongodbUrl = None) -> None:
    """
    Show who may log in, a line each: id, name, whom they are, how they prove it, and whether they may now.

    Example: fhir-server user list --data-dir data
    """

    async def do(store: Store) -> list[User]:
        return await store.users.all()

    for found in with_store("user", data_dir, mongodb_url, do):
        proof = "password" if found.totp is None else "password and code"
        typer.echo(f"{found.id}  {found.name}  {found.fhir_user or '-'}  {proof}  {_state(found)}")


@user.command()
def password(
    name: Name,
    password_stdin: PasswordStdin = False,
    data_dir: DataDir = None,
    mongodb_url: MongodbUrl = None,
) -> None:
    """
    Give another password, unlock, and revoke what apps were granted; one that was made is printed, once.

    Example: fhir-server user password ann --password-stdin < password.txt
    """
    try:
        told = new_password(_read() if password_stdin else _made(), login_name(name))
    except InvalidUser as refusal:
        fail(str(refusal))

    async def do(store: Store, found: User) -> bool:
        return await store.users.set_password(found.id, await _hashed(told), utc_now())

    _changed("user password", name, data_dir, mongodb_url, do, revokes=True)
    if not password_stdin:
        typer.echo(told)


@user.command("second-factor")
def second_factor(
    name: Name,
    remove: Annotated[bool, typer.Option("--remove", help="The password alone logs in again.")] = False,
    data_dir: DataDir = None,
    mongodb_url: MongodbUrl = None,
) -> None:
    """
    Ask for a code from an authenticator app from now on: prints what the app reads, once, and shows it as
    a QR code. The one they had before holds no more.

    Example: fhir-server user second-factor ann
    """

    async def enrol(store: Store, found: User) -> bool:
        uri, sealed = await _enrolled(store, settings({"data_dir": data_dir}), found)
        if not await store.users.set_second_factor(found.id, sealed):
            return False
        typer.echo(uri)
        typer.echo(_qr_code(uri), err=True)
        return True

    async def without(store: Store, found: User) -> bool:
        return await store.users.set_second_factor(found.id, None)

    if remove:
        _changed("user second-factor", name, data_dir, mongodb_url, without, told="--remove")
    else:
        _changed("user second-factor", name, data_dir, mongodb_url, enrol)


@user.command("fhir-user")
def set_fhir_user(
    name: Name,
    reference: Annotated[str | None, typer.Argument(help="Practitioner/7; without it, nobody.")] = None,
    data_dir: DataDir = None,
    mongodb_url: MongodbUrl = None,
) -> None:
    """
    Say whom somebody is in the record, and revoke what apps were granted before.

    Example: fhir-server user fhir-user ann Practitioner/7
    """
    try:
        whom = None if reference is None else new_fhir_user(reference)
    except InvalidUser as refusal:
        fail(str(refusal))

    async def do(store: Store, found: User) -> bool:
        await _say_whether_known(store, whom)
        return await store.users.set_fhir_user(found.id, whom)

    _changed("user fhir-user", name, data_dir, mongodb_url, do, revokes=True, told=whom or "nobody")


@user.command()
def disable(name: Name, data_dir: DataDir = None, mongodb_url: MongodbUrl = None) -> None:
    """
    Let somebody log in no more, and revoke what apps were granted.

    Example: fhir-server user disable ann
    """

    async def do(store: Store, found: User) -> bool:
        return await store.users.disable(found.id)

    _changed("user disable", name, data_dir, mongodb_url, do, revokes=True)


@user.command()
def enable(name: Name, data_dir: DataDir = None, mongodb_url: MongodbUrl = None) -> None:
    """
    Let somebody log in again who was disabled.

    Example: fhir-server user enable ann
    """

    async def do(store: Store, found: User) -> bool:
        return await store.users.enable(found.id)

    _changed("user enable", name, data_dir, mongodb_url, do)


@user.command()
def unlock(name: Name, data_dir: DataDir = None, mongodb_url: MongodbUrl = None) -> None:
    """
    Let somebody log in at once who is locked out after failures.

    Example: fhir-server user unlock ann
    """

    async def do(store: Store, found: User) -> bool:
        return await store.users.unlock(found.id)

    _changed("user unlock", name, data_dir, mongodb_url, do)


@user.command()
def remove(name: Name, data_dir: DataDir = None, mongodb_url: MongodbUrl = None) -> None:
    """
    Forget somebody, and revoke what apps were granted. The audit log keeps what was done.

    Example: fhir-server user remove ann
    """

    async def do(store: Store, found: User) -> bool:
        return await store.users.remove(found.id)

    _changed("user remove", name, data_dir, mongodb_url, do, revokes=True)


def _changed(
    command: Command,
    name: str,
    data_dir: Path | None,
    mongodb_url: str | None,
    change: Change,
    *,
    revokes: bool = False,
    told: str = "",
) -> None:
    async def do(store: Store) -> bool:
        found = await store.users.named(login_name(name))
        if found is None or not await change(store, found):
            return False
        if revokes:
            # After the change: what is granted from now on is granted by who they are now. First no more
            # tokens are given for what was granted, then those that were given hold no more.
            await store.grants.revoke_all(found.id)
            now = utc_now()
            await store.revocations.add(of_user(found.id, now, now + LONGEST))
        about = (found.id, told) if told else (found.id,)
        await record_command(store, command, *about, fhir_user=found.fhir_user)
        return True

    if not with_store("user", data_dir, mongodb_url, do):
        fail("There is no user of this name")


async def _hashed(password: str) -> str:
    passwords = Passwords()
    try:
        return await passwords.hashed(password)
    finally:
        passwords.close()


async def _enrolled(store: Store, told: Settings, found: User) -> tuple[str, str]:
    try:
        secret = wrapping_secret(told.data_dir, told.secret)
        # Whether it is the secret of this deployment, the signing keys tell.
        await load_or_create(store.state, secret, utc_now())
    except SecretMismatchError as refusal:
        fail(str(refusal))
    served = await store.state.get(*SERVED)
    issuer = urlsplit(served["base_url"]).netloc if served else "FHIR"
    return SecondFactors(secret).enrolled(found.id, name=found.name, issuer=issuer)


async def _say_whether_known(store: Store, reference: str | None) -> None:
    if reference is None:
        typer.echo("They are nobody in the record: nothing clinical is theirs", err=True)
        return
    version, _ = await store.current(Key(*reference.split("/")), tokens=False)
    if version is None or version.body is None:
        typer.echo(f"{reference} is not stored yet: apps cannot read whom they are", err=True)


def _qr_code(uri: str) -> str:
    drawn = StringIO()
    segno.make(uri).terminal(drawn, border=2, compact=True)
    return drawn.getvalue()


def _made() -> str:
    return secrets.token_urlsafe(MADE_PASSWORD_BYTES)


def _read() -> str:
    """One line of standard input. Raises InvalidUser."""
    line = sys.stdin.buffer.readline(_PASSWORD_BYTES_MAX + 1)
    try:
        return line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise InvalidUser("The password is not text in UTF-8") from error


def _state(found: User) -> str:
    if found.disabled:
        return "disabled"
    left = seconds_left(found.locked_until, utc_now())
    return f"locked for {timedelta(seconds=left)}" if left else "may log in"
