"""`fhir-server hl7v2 send`, against somebody else's listener."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commands.conftest import Run


@contextmanager
def listening(code: str | None, text: str = "") -> Iterator[int]:
    """The port of a listener that answers each message so; not at all without a code."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        buffer = b""
        with connection:
            while data := connection.recv(65536):
                buffer += data
                while b"\x1c\r" in buffer:
                    message, _, buffer = buffer.partition(b"\x1c\r")
                    control_id = message.split(b"|")[9].decode()
                    answer = f"MSH|^~\\&|X|Y|A|B|20260101||ACK|1|P|2.5\rMSA|{code}|{control_id}|{text}\r"
                    if code:
                        connection.sendall(b"\x0b" + answer.encode() + b"\x1c\r")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def message(path: Path, control_id: str, accept: str = "", application: str = "") -> Path:
    path.write_text(
        f"MSH|^~\\&|A|B|X|Y|20260101||ADT^A01|{control_id}|P|2.5|||{accept}|{application}\rPID|1||7\r"
    )
    return path


def test_each_answer_has_its_line(run: Run, tmp_path: Path) -> None:
    files = [message(tmp_path / "a.hl7", "MSG1"), message(tmp_path / "b.hl7", "MSG2")]
    with listening("AA") as port:
        result = run("hl7v2", "send", "--port", port, *files)
    assert result.exit_code == 0
    assert result.stdout == "a.hl7  MSG1  AA\nb.hl7  MSG2  AA\n"


def test_a_commit_acknowledgement_is_as_good(run: Run, tmp_path: Path) -> None:
    with listening("CA") as port:
        result = run("hl7v2", "send", "--port", port, message(tmp_path / "a.hl7", "MSG1", "AL", "NE"))
    assert (result.exit_code, result.stdout) == (0, "a.hl7  MSG1  CA\n")


def test_a_refusal_is_shown_with_its_reason(run: Run, tmp_path: Path) -> None:
    with listening("AE", "PID-3 is\x1b[31m missing") as port:
        result = run("hl7v2", "send", "--port", port, message(tmp_path / "a.hl7", "MSG1"))
    assert (result.exit_code, result.stdout) == (1, "a.hl7  MSG1  AE  PID-3 is [31m missing\n")


def test_a_message_that_wants_no_answer_gets_none(run: Run, tmp_path: Path) -> None:
    with listening(None) as port:
        result = run("hl7v2", "send", "--port", port, message(tmp_path / "a.hl7", "MSG1", "NE", "NE"))
    assert (result.exit_code, result.stdout) == (0, "a.hl7  MSG1  (no answer wanted)\n")


def test_an_answer_that_does_not_come_is_waited_for_and_missed(run: Run, tmp_path: Path) -> None:
    with listening(None) as port:
        file = message(tmp_path / "a.hl7", "MSG1")
        result = run("hl7v2", "send", "--port", port, "--timeout", 0.2, file)
    assert result.exit_code == 1
    assert result.stdout.startswith("a.hl7  MSG1  (no answer)  No answer within 0.2 s")


def test_no_listener_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    result = run("hl7v2", "send", "--port", 1, message(tmp_path / "a.hl7", "MSG1"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: No connection to 127.0.0.1:1: ")
    assert result.stderr.count("\n") == 1
