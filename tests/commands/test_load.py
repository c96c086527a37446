"""`fhir-server load`, against a server of somebody else's."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fhir_server.commands.load import sender as load_sender
from fhir_server.commands.load.shipments import GROUP_ENTRIES_MAX
from tests.commands.conftest import Run
from tests.commands.other_server import OtherServer, Reply, serving


def a_patient(id: str | None = None, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient"} | ({"id": id} if id else {}) | elements


def a_bundle(type: str, *resources: dict[str, Any], method: str | None = "POST") -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": type,
        "entry": [
            {"fullUrl": f"urn:uuid:{resource.get('id', index)}", "resource": resource}
            | ({"request": {"method": method, "url": resource["resourceType"]}} if method else {})
            for index, resource in enumerate(resources)
        ],
    }


def write(path: Path, *resources: dict[str, Any]) -> Path:
    """One resource a line; gzipped when the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(json.dumps(resource, ensure_ascii=False) for resource in resources).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_a_transaction_bundle_is_sent_as_its_very_bytes(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    text = b'{ "type" :"transaction", "entry":[{"resource":{"resourceType":"Observation","valueQuantity":\n'
    text += b'{"value":1.50}},"request":{"method":"POST","url":"Observation"}}],"resourceType":"Bundle" }\n'
    (tmp_path / "bundle.json").write_bytes(text)
    result = load(tmp_path / "bundle.json")
    assert result.exit_code == 0
    assert [request.body for request in server.received] == [text]
    assert result.stdout.startswith("1 files, 1 resources, 0 failed in ")


def test_numbers_arrive_as_they_were_written_even_in_a_bundle_that_is_changed(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    literals = ["1.50", "0.1e-7", "1E5", "-0", "100000000000000000000000000001"]
    values = ",".join(f'{{"value":{literal}}}' for literal in literals)
    observation = f'{{"resourceType":"Observation","id":"o","component":[{values}]}}'
    entry = f'{{"resource":{observation},"request":{{"method":"POST","url":"Observation"}}}}'
    (tmp_path / "a.json").write_text(f'{{"resourceType":"Bundle","type":"transaction","entry":[{entry}]}}')
    (tmp_path / "b.json").write_text(
        f'{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{observation}}}]}}'
    )
    other = observation.replace('"id":"o"', '"id":"p"')
    (tmp_path / "c.ndjson").write_text(f"{observation}\n{other}\n")
    assert load("--update", tmp_path).exit_code == 0
    assert len(server.received) == 3
    assert all(values.encode() in request.body for request in server.received)


def test_update_puts_what_carries_an_id_under_the_same_full_url(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    conditional = {
        "resource": a_patient("c"),
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": "x=y"},
    }
    bundle = a_bundle("transaction", a_patient("p"), a_patient())
    bundle["entry"].append(conditional)
    write(tmp_path / "bundle.json", bundle)
    assert load("--update", tmp_path).exit_code == 0
    sent = server.received[0].json["entry"]
    assert sent[0] == {
        "fullUrl": "urn:uuid:p",
        "resource": a_patient("p"),
        "request": {"method": "PUT", "url": "Patient/p"},
    }
    assert sent[1:] == bundle["entry"][1:]


def test_loading_twice_with_update_changes_nothing(load: Run, server: OtherServer, tmp_path: Path) -> None:
    write(tmp_path / "bundle.json", a_bundle("transaction", a_patient("p"), a_patient("q")))
    load("--update", tmp_path)
    once = dict(server.stored)
    load("--update", tmp_path)
    assert server.stored == once
    assert set(once) == {"Patient/p", "Patient/q"}


def test_a_collection_becomes_a_transaction_of_puts_and_posts(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    write(tmp_path / "c.json", a_bundle("collection", a_patient("p"), a_patient(), method=None))
    assert load(tmp_path).exit_code == 0
    [sent] = [request.json for request in server.received]
    assert sent["type"] == "transaction"
    assert [entry["request"] for entry in sent["entry"]] == [
        {"method": "PUT", "url": "Patient/p"},
        {"method": "POST", "url": "Patient"},
    ]
    assert [entry["fullUrl"] for entry in sent["entry"]] == ["urn:uuid:p", "urn:uuid:1"]


def test_a_searchset_is_loaded_without_what_the_server_said_about_the_search(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    outcome = {"resource": {"resourceType": "OperationOutcome", "issue": []}, "search": {"mode": "outcome"}}
    match = {"fullUrl": "http://a/Patient/p", "resource": a_patient("p"), "search": {"mode": "match"}}
    write(tmp_path / "s.json", {"resourceType": "Bundle", "type": "searchset", "entry": [outcome, match]})
    assert load(tmp_path).exit_code == 0
    assert set(server.stored) == {"Patient/p"}


def test_a_single_resource_is_put_under_its_id_or_created(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    write(tmp_path / "a.json", a_patient("p"))
    write(tmp_path / "b.json", a_patient())
    assert load("--concurrency", "1", tmp_path).exit_code == 0
    assert [(r.method, r.path) for r in server.received] == [("PUT", "/Patient/p"), ("POST", "/Patient")]


def test_a_document_is_a_resource_and_not_a_parcel(load: Run, server: OtherServer, tmp_path: Path) -> None:
    write(tmp_path / "d.json", {"resourceType": "Bundle", "id": "d", "type": "document", "entry": []})
    assert load(tmp_path).exit_code == 0
    assert set(server.stored) == {"Bundle/d"}


def test_a_history_bundle_is_not_loaded_and_the_reason_is_given(load: Run, tmp_path: Path) -> None:
    write(tmp_path / "h.json", {"resourceType": "Bundle", "type": "history", "entry": []})
    result = load(tmp_path)
    assert result.exit_code == 1
    assert "h.json: invalid: A Bundle of this type holds nothing to load" in result.stdout


def test_ndjson_goes_in_bundles_of_a_bounded_size(load: Run, server: OtherServer, tmp_path: Path) -> None:
    count = 2 * GROUP_ENTRIES_MAX + 1
    write(tmp_path / "p.ndjson", *(a_patient(f"p{i}") for i in range(count)))
    result = load(tmp_path)
    assert result.exit_code == 0
    assert len(server.received) == 3
    assert len(server.stored) == count
    assert f"1 files, {count} resources, 0 failed" in result.stdout


def test_a_later_line_wins_over_an_earlier_one_of_the_same_resource(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    server.seconds_per_request = 0.01
    lines = [a_patient("p", multipleBirthInteger=number) for number in range(12)]
    write(tmp_path / "p.ndjson", *lines)
    assert load("--concurrency", "8", tmp_path).exit_code == 0
    assert server.stored["Patient/p"]["multipleBirthInteger"] == 11
    assert len(server.received) == 12


def test_gzip_is_unpacked_whatever_the_file_is_called(load: Run, server: OtherServer, tmp_path: Path) -> None:
    write(tmp_path / "a.json.gz", a_bundle("transaction", a_patient("a"), method="PUT"))
    write(tmp_path / "b.ndjson.gz", a_patient("b1"), a_patient("b2"))
    write(tmp_path / "c.gz", a_patient("c")).rename(tmp_path / "c.json")
    result = load(tmp_path)
    assert result.exit_code == 0
    assert "3 files, 4 resources, 0 failed" in result.stdout


def test_folders_are_walked_in_order_and_other_files_left_alone(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    for name in ("b/2.json", "b/1.json", "a/deep/3.json", "c.json", ".hidden/x.json"):
        write(tmp_path / name, a_patient(Path(name).stem))
    (tmp_path / "readme.txt").write_text("not for a server")
    assert load("--concurrency", "1", tmp_path).exit_code == 0
    assert [request.path for request in server.received] == [
        "/Patient/c",
        "/Patient/3",
        "/Patient/1",
        "/Patient/2",
    ]


def test_a_bad_file_in_the_middle_stops_nothing_and_is_named_at_the_end(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    write(tmp_path / "a.json", a_patient("a"))
    (tmp_path / "b.json").write_text('{"resourceType": "Patient", "name": [{"family": "Secret"')
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b'{"resourceType":"Patient"}' * 999)[:40])
    write(tmp_path / "d.json", {"no": "resource"})
    write(tmp_path / "e.json", a_patient("e"))
    result = load(tmp_path)
    assert result.exit_code == 1
    assert set(server.stored) == {"Patient/a", "Patient/e"}
    assert "b.json: invalid: Input data was truncated" in result.stdout
    assert "c.json.gz: invalid: The gzip data is damaged or cut off" in result.stdout
    assert "d.json: invalid: It is JSON without a `resourceType`" in result.stdout
    assert "5 files, 2 resources, 3 failed" in result.stdout
    assert "Secret" not in result.output


@pytest.mark.parametrize("names_the_entry", [True, False])
def test_a_bad_line_of_ndjson_keeps_none_of_its_neighbours_out(
    load: Run, server: OtherServer, tmp_path: Path, names_the_entry: bool
) -> None:
    server.names_the_entry = names_the_entry
    lines = [a_patient(f"p{i}", gender="nonsense" if i in (3, 77) else "female") for i in range(100)]
    write(tmp_path / "p.ndjson", *lines)
    result = load(tmp_path)
    assert result.exit_code == 1
    assert len(server.stored) == 98
    assert "p.ndjson line 4: code-invalid: No such code (Patient.gender)" in result.stdout
    assert "p.ndjson line 78: code-invalid: No such code (Patient.gender)" in result.stdout
    assert "98 resources, 2 failed" in result.stdout


def test_a_group_too_large_for_the_server_is_divided(load: Run, server: OtherServer, tmp_path: Path) -> None:
    server.bundle_entries_max = 30
    write(tmp_path / "p.ndjson", *(a_patient(f"p{i}") for i in range(100)))
    assert load(tmp_path).exit_code == 0
    assert len(server.stored) == 100


def test_each_refused_entry_of_a_batch_is_named(load: Run, server: OtherServer, tmp_path: Path) -> None:
    write(tmp_path / "b.json", a_bundle("batch", a_patient("a"), a_patient("b", gender="nonsense")))
    result = load(tmp_path)
    assert result.exit_code == 1
    assert "b.json entry[1]: code-invalid: No such code (Patient.gender)" in result.stdout
    assert "1 resources, 1 failed" in result.stdout


def test_a_refused_transaction_is_lost_as_a_whole(load: Run, server: OtherServer, tmp_path: Path) -> None:
    write(tmp_path / "t.json", a_bundle("transaction", a_patient("a"), a_patient("b", gender="nonsense")))
    result = load(tmp_path)
    assert "t.json: code-invalid: No such code (Bundle.entry[1].resource.gender)" in result.stdout
    assert "0 resources, 2 failed" in result.stdout
    assert server.stored == {}


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(
    load: Run, server: OtherServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    server.replies = [
        Reply(status, headers={"Retry-After": "1"}),
        Reply(status, headers={"Retry-After": "0"}),
    ]
    write(tmp_path / "a.json", a_patient())
    started = time.monotonic()
    result = load(tmp_path)
    assert result.exit_code == 0
    assert len(server.received) == 3
    assert server.created == 1
    assert time.monotonic() - started >= 1


def test_a_server_that_stays_busy_is_given_up(
    load: Run, server: OtherServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_sender, "BACKOFF_SECONDS_MAX", 0.01)
    server.replies = [Reply(503)] * load_sender.ATTEMPTS_MAX
    write(tmp_path / "a.json", a_patient())
    result = load(tmp_path)
    assert result.exit_code == 1
    assert "a.json: 503: Refused without an OperationOutcome" in result.stdout
    assert len(server.received) == load_sender.ATTEMPTS_MAX


def test_a_refused_token_ends_the_load_at_once(load: Run, server: OtherServer, tmp_path: Path) -> None:
    server.replies = [Reply(401)] * 100
    for number in range(20):
        write(tmp_path / f"{number}.json", a_patient())
    result = load("--concurrency", "2", tmp_path)
    assert result.exit_code == 1
    assert len(server.received) <= 2
    assert "error: The server does not accept the token (401)" in result.stderr


def test_an_answer_that_is_not_fhir_is_not_taken_for_success(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    server.replies = [Reply(200, {"welcome": "to our portal"})]
    write(tmp_path / "t.json", a_bundle("transaction", a_patient("a")))
    result = load(tmp_path)
    assert result.exit_code == 1
    assert "The answer is no transaction-response" in result.stdout


def test_an_address_without_a_fhir_server_is_said_plainly(
    run: Run, server: OtherServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_sender, "BACKOFF_SECONDS_MAX", 0.01)
    write(tmp_path / "a.json", a_patient())
    nowhere = run("load", "--url", "http://127.0.0.1:1/fhir", tmp_path)
    assert nowhere.exit_code == 1
    assert "http://127.0.0.1:1/fhir cannot be reached" in nowhere.stderr
    beside = run("load", "--url", server.url + "/elsewhere", tmp_path)
    assert "is not the address of a FHIR server" in beside.stderr
    assert run("load", "--url", "localhost:8080", tmp_path).exit_code == 1


def test_the_token_comes_from_the_environment_or_a_file_and_is_never_shown(
    run: Run, server: OtherServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "a.json", a_patient("a"))
    (tmp_path / "token").write_text("from-file\n")
    outputs = [
        run("load", "--url", server.url, file, FHIR_TOKEN="from-environment").output,
        run("load", "--url", server.url, "--token-file", tmp_path / "token", file).output,
    ]
    assert [request.headers["authorization"] for request in server.received] == [
        "Bearer from-environment",
        "Bearer from-file",
    ]
    assert all("from-" not in output for output in outputs)


def test_a_journal_leaves_out_what_was_loaded_and_loads_what_changed_or_failed(
    load: Run, server: OtherServer, tmp_path: Path
) -> None:
    good = write(tmp_path / "in/a.json", a_patient("a"))
    write(tmp_path / "in/b.json", a_patient("b", gender="nonsense"))
    write(tmp_path / "in/c.ndjson", a_patient("c"), a_patient("d"))
    journal = tmp_path / "journal"
    assert "3 files, 3 resources, 1 failed" in load("--resume", journal, tmp_path / "in").stdout
    server.received.clear()
    again = load("--resume", journal, tmp_path / "in")
    assert [request.path for request in server.received] == ["/Patient/b"]
    assert "3 files (2 of them loaded before), 0 resources, 1 failed" in again.stdout
    write(good, a_patient("a", active=True))
    server.received.clear()
    load("--resume", journal, tmp_path / "in")
    assert {request.path for request in server.received} == {"/Patient/a", "/Patient/b"}


def test_a_journal_of_another_server_does_not_count(run: Run, server: OtherServer, tmp_path: Path) -> None:
    write(tmp_path / "in/a.json", a_patient("a"))
    for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
        run("load", "--url", url, "--resume", tmp_path / "journal", tmp_path / "in")
    assert len(server.received) == 2


def test_ndjson_comes_through_a_pipe_and_bundles_may_stand_on_its_lines(
    server: OtherServer, tmp_path: Path
) -> None:
    lines = [a_patient("a"), a_bundle("transaction", a_patient("b"), a_patient("c")), a_patient("d")]
    text = "".join(json.dumps(line) + "\r\n" for line in lines)
    command = [
        sys.executable,
        "-c",
        "from fhir_server.cli import main; main()",
        "load",
        "--url",
        server.url,
        "-",
    ]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert "1 files, 4 resources, 0 failed" in result.stdout


def test_ctrl_c_lets_what_is_on_its_way_arrive_and_sums_up(tmp_path: Path) -> None:
    for number in range(50):
        write(tmp_path / f"in/{number:02}.json", a_patient(f"p{number}"))
    with serving() as server:
        server.seconds_per_request = 0.2
        command = [
            sys.executable,
            "-c",
            "from fhir_server.cli import main; main()",
            "load",
            "--url",
            server.url,
        ]
        command += ["--resume", str(tmp_path / "journal"), str(tmp_path / "in")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while len(server.received) < 6:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"Interrupted after {len(server.stored)} of 50 files" in errors
    assert f"{len(server.stored)} files, {len(server.stored)} resources, 0 failed" in output
    assert len((tmp_path / "journal").read_text().splitlines()) == len(server.stored)
