"""From the bytes to the answers: what a sender is told is so, whatever fails on the way."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2.delivery import Patience
from adapters.hl7v2.turns import Turns
from tests.adapters.hl7v2.builders import Hospital, a_message, a_patient, an_oru, parsed
from tests.adapters.hl7v2.memory_inbox import MemoryInbox
from tests.adapters.hl7v2.somebodys_server import SomebodysServer, refusal, times, unreachable


def away() -> httpx.Response:
    return httpx.Response(503)


async def test_a_message_is_stored_and_then_answered() -> None:
    hospital = Hospital()
    assert await hospital.codes(a_message()) == ["AA"]
    assert hospital.server.only("Patient")["name"] == [{"family": "Muster", "given": ["Erika"]}]
    assert hospital.inbox.only().status == "stored"


async def test_the_bytes_are_durable_before_anything_is_asked_of_the_fhir_server() -> None:
    hospital = Hospital()
    seen: list[bytes] = []

    def look(_: httpx.Request) -> None:
        seen.append(hospital.inbox.only().raw)

    hospital.server.trouble = look
    raw = a_message()
    await hospital.tell(raw)
    assert seen
    assert set(seen) == {raw}


async def test_all_requests_carry_the_token_and_the_name_of_the_message() -> None:
    hospital = Hospital()
    await hospital.tell(a_message())
    assert {request.headers["Authorization"] for request in hospital.server.requests} == {"Bearer a-token"}
    assert {request.headers["X-Request-Id"] for request in hospital.server.requests} == {"hl7v2-m1"}


async def test_the_provenance_leads_to_the_exact_bytes() -> None:
    hospital = Hospital()
    raw = an_oru()
    await hospital.tell(raw)
    provenance = hospital.server.only("Provenance")
    id = provenance["entity"][0]["what"]["identifier"]["value"]
    assert next(kept.raw for kept in hospital.inbox.kept.values() if kept.id == id) == raw
    targets = {target["reference"] for target in provenance["target"]}
    written = {
        reference for reference in hospital.server.resources if not reference.startswith("Provenance/")
    }
    assert targets == written


async def test_the_same_message_again_changes_nothing_and_gets_the_same_answer() -> None:
    hospital = Hospital()
    first = await hospital.tell(a_message())
    before = dict(hospital.server.resources)
    assert await hospital.tell(a_message()) == first
    assert hospital.server.resources == before
    assert len(hospital.server.bundles) == 1


async def test_the_same_message_with_other_line_ends_is_the_same_message() -> None:
    hospital = Hospital()
    first = await hospital.tell(a_message())
    assert await hospital.tell(a_message().replace(b"\r", b"\r\n")) == first


async def test_another_message_of_the_same_control_id_is_another_message() -> None:
    hospital = Hospital()
    await hospital.tell(a_message("PID|1||1^^^GH^MR||Eins"))
    assert await hospital.codes(a_message("PID|1||2^^^GH^MR||Zwei")) == ["AA"]
    assert len(hospital.server.of_type("Patient")) == 2


async def test_an_oru_leaves_the_patient_it_finds_alone() -> None:
    hospital = Hospital()
    await hospital.tell(a_message())
    before = hospital.server.only("Patient")
    assert await hospital.codes(an_oru()) == ["AA"]
    assert hospital.server.only("Patient") == before
    provenance = max(hospital.server.of_type("Provenance"), key=lambda one: len(one["target"]))
    assert f"Patient/{before['id']}" not in {target["reference"] for target in provenance["target"]}


async def test_a_patient_known_by_another_id_is_found_by_identifier() -> None:
    hospital = Hospital()
    identifier = {"system": "http://fhir.example/r4/sid/GOODHEALTH/GH", "value": "4711"}
    hospital.server.put(a_patient(id="theirs", identifier=[identifier], maritalStatus={"text": "kept"}))
    await hospital.tell(a_message())
    patient = hospital.server.only("Patient")
    assert (patient["id"], patient["meta"]["versionId"], patient["maritalStatus"]) == (
        "theirs",
        "2",
        {"text": "kept"},
    )
    assert patient["name"] == [{"family": "Muster", "given": ["Erika"]}]


async def test_a_narrative_that_was_made_from_old_elements_goes() -> None:
    hospital = Hospital()
    identifier = {"system": "http://fhir.example/r4/sid/GOODHEALTH/GH", "value": "4711"}
    hospital.server.put(
        a_patient(id="1", identifier=[identifier], text={"status": "generated", "div": "old"})
    )
    await hospital.tell(a_message())
    assert "text" not in hospital.server.only("Patient")


async def test_a_digit_of_a_result_is_not_lost_on_the_way() -> None:
    hospital = Hospital()
    await hospital.tell(an_oru())
    sent = next(request for request in hospital.server.requests if request.method == "POST")
    assert b'"value":1.50,' in sent.content


@pytest.mark.parametrize(
    "instead", [lambda: httpx.Response(503), lambda: httpx.Response(429), lambda: httpx.Response(502)]
)
async def test_a_server_that_is_away_for_a_moment_is_asked_again(instead: object) -> None:
    hospital = Hospital()
    assert callable(instead)
    hospital.server.trouble = times(3, instead)
    assert await hospital.codes(a_message()) == ["AA"]


async def test_a_server_that_stays_away_is_ae_and_the_message_is_not_lost() -> None:
    hospital = Hospital()
    hospital.server.trouble = unreachable
    (answer,) = await hospital.tell(a_message())
    assert parsed(answer)["MSA"][1][1] == "AE"
    assert parsed(answer)["ERR"][3][1] == "207"
    assert (hospital.inbox.only().status, hospital.inbox.only().raw) == ("received", a_message())
    hospital.server.trouble = None
    assert await hospital.codes(a_message()) == ["AA"]


async def test_a_commit_whose_answer_was_lost_is_found_and_not_made_again() -> None:
    hospital = Hospital()
    hospital.server.after = times(1, away)
    assert await hospital.codes(a_message()) == ["AA"]
    assert len(hospital.server.bundles) == 1
    assert hospital.server.only("Patient")["meta"]["versionId"] == "1"


async def test_a_change_by_another_meanwhile_is_not_overwritten() -> None:
    hospital = Hospital()
    await hospital.tell(a_message("PID|1||4711^^^GH^MR||Muster^Erika|||F"))
    patient = hospital.server.only("Patient")
    once = [True]

    def meanwhile(request: httpx.Request) -> None:
        if request.method == "POST" and once.pop() if once else False:
            hospital.server.put({**patient, "maritalStatus": {"text": "theirs"}})

    hospital.server.trouble = meanwhile
    assert await hospital.codes(a_message("PID|1||4711^^^GH^MR||Muster^Anna", control_id="2")) == ["AA"]
    now = hospital.server.only("Patient")
    assert (now["maritalStatus"], now["name"][0]["given"], now["gender"]) == (
        {"text": "theirs"},
        ["Anna"],
        "female",
    )


@pytest.mark.parametrize("knows", [True, False])
async def test_messages_at_once_about_a_new_patient_make_one(knows: bool) -> None:
    hospital = Hospital(server=SomebodysServer(knows_if_none_match=knows))
    answers = await asyncio.gather(
        hospital.codes(a_message("PID|1||4711^^^GH^MR||Muster^Erika", control_id="1")),
        hospital.codes(a_message("PID|1||4711^^^GH^MR|||||F", control_id="2")),
        hospital.codes(a_message("PID|1||4711^^^GH^MR|||19640812", control_id="3")),
        hospital.codes(an_oru(control_id="4")),
    )
    assert list(answers) == [["AA"]] * 4
    patient = hospital.server.only("Patient")
    assert (patient["name"][0]["family"], patient["gender"]) == ("Muster", "female")


async def test_two_processes_at_once_about_a_new_patient_make_one() -> None:
    """Each knows nothing of the other: the preconditions of the transactions decide."""
    server = SomebodysServer()
    one, two = Hospital(server=server), Hospital(server=server)
    answers = await asyncio.gather(
        one.codes(a_message("PID|1||4711^^^GH^MR||Muster^Erika", control_id="1")),
        two.codes(a_message("PID|1||4711^^^GH^MR|||||F", control_id="2")),
    )
    assert list(answers) == [["AA"]] * 2
    patient = server.only("Patient")
    assert (patient["name"][0]["family"], patient["gender"]) == ("Muster", "female")
    assert max(len(posted["entry"]) for posted in server.bundles) == 2


@pytest.mark.parametrize("knows", [True, False])
async def test_the_same_message_on_two_lines_at_once_is_stored_once(knows: bool) -> None:
    hospital = Hospital(server=SomebodysServer(knows_if_none_match=knows))
    assert list(await asyncio.gather(*(hospital.codes(an_oru()) for _ in range(4)))) == [["AA"]] * 4
    assert {one["meta"]["versionId"] for one in hospital.server.resources.values()} == {"1"}


async def test_nothing_is_remembered_of_turns_that_were_taken() -> None:
    turns = Turns()
    order: list[str] = []

    async def take(name: str, *keys: str) -> None:
        async with turns.of(keys):
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(take("a", "1", "2"), take("b", "2", "1"), take("c", "2"))
    assert [order[place] == order[place + 1] for place in (0, 2, 4)] == [True] * 3
    assert turns._turns == {}


async def test_one_who_is_never_first_is_told_in_the_end() -> None:
    hospital = Hospital()
    hospital.server.trouble = times(1000, lambda: refusal(412, "conflict"))
    (answer,) = await hospital.tell(a_message())
    assert (parsed(answer)["MSA"][1][1], parsed(answer)["ERR"][3][1]) == ("AE", "206")


async def test_a_refusal_says_where_and_is_judged_anew_when_sent_again() -> None:
    hospital = Hospital()
    raw = an_oru()
    hospital.server.trouble = times(
        1, lambda: refusal(422, "code-invalid", "Bundle.entry[1].resource.status")
    )
    (answer,) = await hospital.tell(raw)
    err = parsed(answer)["ERR"]
    assert (parsed(answer)["MSA"][1][1], err[2].text, err[3][1]) == ("AE", "OBX^1^11", "103")
    assert hospital.inbox.only().status == "refused"
    assert hospital.server.of_type("Observation") == []
    assert await hospital.codes(raw) == ["AA"]
    assert hospital.inbox.only().status == "stored"


async def test_an_answer_repeats_nothing_of_the_patient() -> None:
    hospital = Hospital()
    hospital.server.trouble = times(
        1, lambda: refusal(422, "value", "Patient.birthDate", "Erika Muster 19640812")
    )
    (answer,) = await hospital.tell(a_message())
    assert b"Muster" not in answer
    assert b"1964" not in answer
    assert b"PID^1^7" in answer


async def test_the_log_and_the_facts_hold_nothing_of_the_patient() -> None:
    hospital = Hospital()
    await hospital.tell(a_message("PID|1||4711^^^GH^MR||Muster^Erika||19640812|?", "ZPI|1|secret"))
    told = f"{hospital.log.lines} {hospital.inbox.only().facts}"
    assert all(word not in told for word in ("4711", "Muster", "19640812", "secret"))
    assert hospital.inbox.only().facts["unmapped"] == "PID-8 ZPI"


@pytest.mark.parametrize(
    ("raw", "code", "location"),
    [
        (a_message(type="ADT^A99"), "201", "MSH^1^9"),
        (a_message(type="SIU^S12"), "200", "MSH^1^9"),
        (a_message(version="2.2"), "203", "MSH^1^12"),
        (a_message(version=""), "203", "MSH^1^12"),
        (a_message(version="3.0"), "203", "MSH^1^12"),
        (a_message(control_id=""), "101", "MSH^1^10"),
        (a_message() + a_message(control_id="2"), "100", "MSH^2"),
        (b"hello", "207", "MSH^1"),
        (b"BHS|^~\\&|A\rMSH|^~\\&|A", "207", "MSH^1"),
    ],
)
async def test_what_cannot_be_acted_upon_is_kept_and_rejected(raw: bytes, code: str, location: str) -> None:
    hospital = Hospital()
    (answer,) = await hospital.tell(raw)
    message = parsed(answer)
    assert message["MSA"][1][1] == "AR"
    assert message["ERR"][3][1] == code or message["ERR"][1][4] == code
    assert message["ERR"][2].text == location or message["MSH"][12][1] == "2.2"
    assert hospital.inbox.only().raw == raw
    assert hospital.server.requests == []


async def test_a_patient_without_an_identifier_is_ae_and_says_where() -> None:
    hospital = Hospital()
    (answer,) = await hospital.tell(a_message("PID|1||||Muster"))
    assert (parsed(answer)["MSA"][1][1], parsed(answer)["ERR"][2].text) == ("AE", "PID^1^3")


@pytest.mark.parametrize(
    ("accept", "application", "stored", "refused", "unfit"),
    [
        ("", "", ["AA"], ["AE"], ["AR"]),
        ("AL", "AL", ["CA", "AA"], ["CA", "AE"], ["CR"]),
        ("AL", "NE", ["CA"], ["CA"], ["CR"]),
        ("AL", "ER", ["CA"], ["CA", "AE"], ["CR"]),
        ("AL", "SU", ["CA", "AA"], ["CA"], ["CR"]),
        ("AL", "", ["CA"], ["CA"], ["CR"]),
        ("NE", "AL", ["AA"], ["AE"], ["AR"]),
        ("NE", "NE", [], [], []),
        ("", "AL", ["AA"], ["AE"], ["AR"]),
        ("ER", "AL", ["AA"], ["AE"], ["CR"]),
        ("ER", "NE", [], [], ["CR"]),
        ("SU", "ER", ["CA"], ["CA", "AE"], ["AR"]),
        ("SU", "NE", ["CA"], ["CA"], []),
    ],
)
async def test_the_answers_are_those_that_were_asked_for(
    accept: str, application: str, stored: list[str], refused: list[str], unfit: list[str]
) -> None:
    """HL7 v2.8, 2.9.2: CA says only that the message is safe, so a message that is refused gets it too."""
    hospital = Hospital()
    asked = {"accept": accept, "application": application}
    assert await hospital.codes(a_message(**asked, control_id="1")) == stored
    assert await hospital.codes(a_message("PID|1", **asked, control_id="2")) == refused
    assert await hospital.codes(a_message(**asked, type="ZZZ^Z01", control_id="3")) == unfit
    assert [kept.status for kept in hospital.inbox.kept.values()] == ["stored", "refused", "refused"]


async def test_a_message_stored_before_gets_the_answers_it_asks_for_again() -> None:
    hospital = Hospital()
    for accept, application, codes in (("AL", "NE", ["CA"]), ("AL", "AL", ["CA", "AA"]), ("NE", "NE", [])):
        raw = a_message(accept=accept, application=application)
        assert await hospital.codes(raw) == codes
        assert await hospital.codes(raw) == codes


async def test_the_acceptance_comes_before_the_work() -> None:
    hospital = Hospital()
    answers = hospital.receiver.receive(a_message(accept="AL", application="AL"))
    first = await anext(answers)
    assert parsed(first)["MSA"][1][1] == "CA"
    assert (hospital.inbox.only().status, hospital.server.requests) == ("received", [])
    assert [parsed(answer)["MSA"][1][1] async for answer in answers] == ["AA"]


async def test_a_sender_who_waits_for_no_word_of_the_application_is_not_given_up() -> None:
    """What it was told is safe must be stored, and not be overtaken: it is tried until it is done."""
    hospital = Hospital(patience=Patience(unreachable_seconds_max=0.1))
    hospital.server.trouble = times(30, away, method="GET")
    assert await hospital.codes(a_message(accept="AL", application="NE")) == ["CA"]
    assert hospital.inbox.only().status == "stored"


async def test_an_inbox_that_is_away_is_never_said_to_hold_the_message() -> None:
    hospital = Hospital()
    hospital.inbox.down = True
    assert await hospital.codes(a_message()) == ["AE"]
    assert await hospital.codes(a_message(accept="AL", application="AL")) == ["CE"]
    assert await hospital.codes(a_message(accept="NE", application="NE")) == []
    hospital.inbox.down = False
    assert hospital.server.requests == []
    assert await hospital.codes(a_message()) == ["AA"]


async def test_an_inbox_that_goes_away_after_the_commit_does_not_turn_aa_into_a_lie() -> None:
    hospital = Hospital()

    def goes_away(_: httpx.Request) -> None:
        hospital.inbox.down = True

    hospital.server.after = goes_away
    assert await hospital.codes(a_message()) == ["AA"]
    hospital.inbox.down, hospital.server.after = False, None
    assert await hospital.receiver.resume() == 1
    assert hospital.inbox.only().status == "stored"
    assert len(hospital.server.bundles) == 1


async def test_what_was_under_way_when_the_process_ended_is_taken_up() -> None:
    inbox = MemoryInbox()
    before = Hospital(inbox=inbox)
    answers = before.receiver.receive(a_message(accept="AL", application="NE"))
    await anext(answers)
    await answers.aclose()  # type: ignore[attr-defined]  # an async generator, as a process that ends would leave it

    after = Hospital(inbox=inbox)
    assert await after.receiver.resume() == 1
    assert after.server.only("Patient")["name"][0]["family"] == "Muster"
    assert inbox.only().status == "stored"
    assert await after.receiver.resume() == 0


async def test_a_message_that_was_answered_ae_is_not_taken_up_behind_its_senders_back() -> None:
    hospital = Hospital()
    hospital.server.trouble = unreachable
    await hospital.tell(a_message())
    hospital.server.trouble = None
    assert await hospital.receiver.resume() == 0
    assert hospital.server.resources == {}


async def test_an_inbox_full_of_what_cannot_be_read_is_resumed_too() -> None:
    inbox = MemoryInbox()
    hospital = Hospital(inbox=inbox)
    for number in range(250):
        await inbox.keep(str(number), f"garbage {number}".encode(), {}, hospital.receiver._clock())
    assert await hospital.receiver.resume() == 250
    assert {kept.status for kept in inbox.kept.values()} == {"unreadable"}


async def test_the_time_of_receipt_is_that_of_the_first_arrival() -> None:
    hospital = Hospital()
    hospital.server.trouble = unreachable
    await hospital.tell(a_message())
    hospital.server.trouble = None
    await hospital.tell(a_message())
    assert hospital.server.only("Provenance")["recorded"] == "2026-11-21T08:00:00.000Z"


@given(st.binary(max_size=120), st.sampled_from([b"", b"MSH|^~\\&|", a_message(), an_oru()]))
@settings(max_examples=100, deadline=None)
def test_no_bytes_bring_the_receiver_down(garbage: bytes, head: bytes) -> None:
    async def tell() -> None:
        hospital = Hospital()
        codes = await hospital.codes(head + garbage)
        assert len(codes) <= 2
        assert len(hospital.inbox.kept) == 1

    asyncio.run(tell())


async def test_a_refused_search_is_told_as_a_refusal() -> None:
    hospital = Hospital()
    hospital.server.trouble = times(1, lambda: refusal(403, "forbidden"), method="GET")
    assert await hospital.codes(a_message()) == ["AE"]
    assert hospital.inbox.only().status == "refused"
