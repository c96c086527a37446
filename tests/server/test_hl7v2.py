"""HL7 v2 over a real socket, through the gate, to FHIR: what is acknowledged is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import httpx
import pytest
import pytest_asyncio

from adapters.hl7v2.sender import Answer, send
from tests.server.running import Server, serving
from tests.server.test_gate import a_consent

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "hl7v2"


def an_admission(control_id: str, number: str, *, event: str = "A01", family: str = "Muster") -> str:
    return "\r".join(
        [
            f"MSH|^~\\&|ADT|HOSPITAL|FHIR|SERVER|20260102030405||ADT^{event}^ADT_A01|{control_id}|P|2.5.1",
            f"EVN|{event}|20260102030405",
            f"PID|1||{number}^^^HOSPITAL^MR||{family}^Erika||19700330|F",
            "PV1|1|I|WARD^1^A|||||||||||||||||V-1^^^HOSPITAL^VN",
            "AL1|1|DA|70618^Penicillin^RXNORM|SV|Rash",
            "DG1|1||I10^Hypertension^I10|||A",
            "",
        ]
    )


def a_result(control_id: str, number: str, value: str = "1.50") -> str:
    return "\r".join(
        [
            f"MSH|^~\\&|LAB|HOSPITAL|FHIR|SERVER|20260102040405||ORU^R01^ORU_R01|{control_id}|P|2.5.1",
            f"PID|1||{number}^^^HOSPITAL^MR||Muster^Erika||19700330|F",
            "OBR|1|P-1|F-1|24323-8^Panel^LN|||20260102033000|||||||||||||||20260102040000||LAB|F",
            f"OBX|1|NM|2160-0^Creatinine^LN||{value}|mg/dL^^UCUM|0.6-1.2|H|||F|||20260102033000",
            "",
        ]
    )


@dataclass(slots=True)
class Feed:
    """A server that listens, and a folder to send from."""

    server: Server
    port: int
    folder: Path

    async def send(self, text: str) -> Answer:
        file = self.folder / "message.hl7"
        file.write_bytes(text.encode())
        return await self.send_file(file)

    async def send_file(self, file: Path) -> Answer:
        (answer,) = [answer async for answer in send([file], "127.0.0.1", self.port)]
        return answer


@pytest_asyncio.fixture(loop_scope="session")
async def feed(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[Feed]:
    with socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        async with serving(mongodb_url, database_name, tmp_path, mllp=bound) as server:
            yield Feed(server, bound.getsockname()[1], tmp_path)


async def _only(client: httpx.AsyncClient, query: str) -> dict[str, object]:
    entries = (await client.get(f"/{query}")).json().get("entry", [])
    assert len(entries) == 1, query
    found: dict[str, object] = entries[0]["resource"]
    return found


async def test_an_admission_becomes_resources_with_their_provenance(feed: Feed) -> None:
    assert (await feed.send(an_admission("M1", "4711"))).code == "AA"
    async with feed.server.as_() as client:
        patient = await _only(client, "Patient?identifier=4711")
        reference = f"Patient/{patient['id']}"
        assert patient["birthDate"] == "1970-03-30"
        for query in ("Encounter?", "AllergyIntolerance?", "Condition?"):
            found = await _only(client, f"{query}patient={patient['id']}")
            provenance = await _only(client, f"Provenance?target={found['resourceType']}/{found['id']}")
            assert reference in str(provenance["target"])
            assert "inbox" in str(provenance["entity"])


async def test_the_same_message_again_changes_nothing(feed: Feed) -> None:
    for _ in range(2):
        assert (await feed.send(an_admission("M1", "4711"))).code == "AA"
    async with feed.server.as_() as client:
        patient = await _only(client, "Patient?identifier=4711")
        history = (await client.get(f"/Patient/{patient['id']}/_history")).json()
        assert len(history["entry"]) == 1


async def test_another_message_with_the_same_control_id_is_another_message(feed: Feed) -> None:
    assert (await feed.send(an_admission("M1", "4711"))).code == "AA"
    assert (await feed.send(an_admission("M1", "4712", family="Other"))).code == "AA"
    async with feed.server.as_() as client:
        await _only(client, "Patient?identifier=4711")
        await _only(client, "Patient?identifier=4712")


async def test_a_result_finds_its_patient_and_keeps_its_digits(feed: Feed) -> None:
    assert (await feed.send(an_admission("M1", "4711"))).code == "AA"
    assert (await feed.send(a_result("R1", "4711"))).code == "AA"
    async with feed.server.as_() as client:
        patient = await _only(client, "Patient?identifier=4711")
        answer = await client.get(f"/Observation?patient={patient['id']}&code=2160-0")
        assert '"value":1.50' in answer.text
        report = await _only(client, f"DiagnosticReport?patient={patient['id']}")
        assert len(str(report["result"])) > 0
        assert (await client.get(f"/Patient/{patient['id']}")).headers["etag"] == 'W/"1"'


async def test_what_consent_forbids_is_refused_and_can_be_sent_again(feed: Feed) -> None:
    """A feed is a caller like others: what a patient denied is not written behind their back."""
    assert (await feed.send(an_admission("M1", "4711"))).code == "AA"
    async with feed.server.as_() as client:
        patient = await _only(client, "Patient?identifier=4711")
        consent = a_consent(str(patient["id"]), "deny")
        assert (await client.put(f"/Consent/{consent['id']}", json=consent)).status_code == 201
    refused = await feed.send(a_result("R1", "4711"))
    assert refused.code == "AE"
    assert "Muster" not in refused.text
    async with feed.server.as_(
        "patient/Consent.cruds", patient=str(patient["id"]), user=f"Patient/{patient['id']}"
    ) as own:
        withdrawn = await own.put(f"/Consent/{consent['id']}", json={**consent, "status": "inactive"})
        assert withdrawn.status_code == 200
    assert (await feed.send(a_result("R1", "4711"))).code == "AA"


async def test_each_message_leaves_records_of_the_feed(feed: Feed) -> None:
    assert (await feed.send(an_admission("M1", "4711"))).code == "AA"
    records = [record for record in await feed.server.records() if record.client == "hl7v2"]
    assert {record.interaction for record in records} >= {"transaction", "update"}
    assert {record.request_id[:7] for record in records} == {"hl7v2-" + records[0].request_id[6]}


@pytest.mark.skipif(not SAMPLES.exists(), reason="the sample messages are not beside the checkout")
async def test_published_messages_are_answered_as_they_ask(feed: Feed) -> None:
    assert (await feed.send_file(SAMPLES / "ADT-A01-01.hl7")).code == "AA"
    assert (await feed.send_file(SAMPLES / "ORU-R01-01.hl7")).code == "CA"
    async with feed.server.as_() as client:
        await _only(client, "Patient?identifier=1234567")
