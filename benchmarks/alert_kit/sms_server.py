"""The tests' Twilio in a process of its own, which notes each message the moment its request is whole.

`python sms_server.py FILE.jsonl`: a line of JSON a message goes there, the port into FILE.port. It checks requests
against Twilio's own document and ends with an error when one was not allowed by it; see tests/e2e/twilio_server.py.
"""

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.paths import write_atomically  # because the repository is set first
from tests.e2e.twilio_server import Handler, Server, Twilio

NOW = threading.local()


class Noting(Twilio):
    """An account that writes down what is sent."""

    file: Path

    def add(self, **given: Any) -> str:
        sid = super().add(**given)
        line = {"at": NOW.at, "sid": sid, "to": given["to"], "body": given["body"]}
        with self.lock, self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return sid


class Timed(Handler):
    """Notes when a request had come, before it is checked."""

    def _take(self, method: str, form: dict[str, list[str]]) -> None:
        NOW.at = time.time()
        super()._take(method, form)


def main() -> None:
    file = Path(sys.argv[1])
    twilio = Noting()
    twilio.file = file
    server = Server(twilio)
    server.RequestHandlerClass = Timed
    write_atomically(file.with_suffix(".port"), str(server.server_address[1]).encode())
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(0.05)
    server.server_close()
    if twilio.wrong:
        raise SystemExit(f"requests that Twilio's document does not allow: {twilio.wrong}")


if __name__ == "__main__":
    main()
