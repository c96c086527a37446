"""What an operator changes leaves a record, as what is asked over HTTP does."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from audit.record import Record, Target
from tests.commands.conftest import RunBeside
from tests.server.running import Server, serving

ID = r"[0-9a-f-]{36}"


async def by_command(server: Server) -> list[Record]:
    return [record for record in await server.records() if record.client == "fhir-server"]


async def test_each_command_that_changes_who_may_come_in_is_recorded(
    mongodb_url: str, database_name: str, tmp_path: Path, run_beside: RunBeside
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server:
        commands = (
            ("user", "add", "ann", "--fhir-user", "Practitioner/7"),
            ("user", "password", "ann"),
            ("user", "second-factor", "ann"),
            ("user", "second-factor", "ann", "--remove"),
            ("user", "fhir-user", "ann", "Patient/p1"),
            ("user", "disable", "ann"),
            ("user", "enable", "ann"),
            ("user", "unlock", "ann"),
            ("user", "remove", "ann"),
            ("client", "register", "--name", "W", "--scope", "patient/*.rs", "--client-id", "w",
             "--redirect-uri", "https://w.example/"),
            ("client", "remove", "w"),
            ("keys", "rotate"),
            ("token", "--scope", "system/*.rs", "--client", "feed"),
            ("revoke", "--client", "feed"),
        )  # fmt: skip
        for command in commands:
            run_beside(*command)
        records = await by_command(server)
        asked = [record.query or "" for record in records]
        assert [re.sub(ID, "ID", query) for query in asked] == [
            "user add ID",
            "user password ID",
            "user second-factor ID",
            "user second-factor ID --remove",
            "user fhir-user ID Patient/p1",
            "user disable ID",
            "user enable ID",
            "user unlock ID",
            "user remove ID",
            "client register w",
            "client remove w",
            asked[11],
            "token ID feed",
            "revocation client/feed",
        ]
        assert re.fullmatch(r"keys rotate \S+", asked[11])
        operator = pwd.getpwuid(os.getuid()).pw_name
        assert {(record.subject, record.outcome) for record in records} == {(operator, "success")}
        assert records[0].targets == (Target("Practitioner/7"),), "whom it concerns is found"
        assert records[5].patients == ("p1",)
        async with server.as_("system/AuditEvent.rs") as http:
            found = await http.get("/AuditEvent?agent=fhir-server&subtype=110137&_count=50")
            assert len(found.json()["entry"]) == 9
            of_ann = await http.get("/AuditEvent?entity=Practitioner/7&type=110113")
            assert of_ann.json()["entry"][-1]["resource"]["subtype"][1]["code"] == "user-add"


async def test_what_a_command_refuses_changes_nothing_and_is_not_recorded(
    mongodb_url: str, database_name: str, tmp_path: Path, run_beside: RunBeside
) -> None:
    async with serving(mongodb_url, database_name, tmp_path) as server:
        run_beside("user", "disable", "nobody", fails=True)
        assert await by_command(server) == []
