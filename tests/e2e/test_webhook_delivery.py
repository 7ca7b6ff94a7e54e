"""From a site's YAML to a server over TLS, where openssl checks the signature; a drip that ends; a program."""

import base64
import json
import subprocess
import time
from contextlib import contextmanager

import pytest

from edge.config import plan_from
from edge.errors import NoticeRefused, NotifyError
from edge.registry import load_registry
from edge.testing import fake_services, notice
from tests.e2e.local_http import issue, serving, talking

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
JPEG = b"\xff\xd8" + bytes(range(256)) * 400 + b"\xff\xd9"


@pytest.fixture
def papers(tmp_path):
    return issue(tmp_path, "localhost")


@contextmanager
def channel_of(tmp_path, settings):
    """The channel as the daemon builds it from this YAML."""
    lines = "\n".join(f"    {line}" for line in settings.strip().splitlines())
    site = f"sources: [{{use: watch, folder: /srv}}]\nchannels:\n  - name: out\n{lines}\n"
    spec, config = plan_from(site, tmp_path / "site.yaml", load_registry()).channels["out"]
    with spec.build(config, fake_services()) as notifier:
        yield notifier


def over_tls(server, papers, more=""):
    return (
        f"use: webhook\nurl: {server.url('/hook', scheme='https', host='localhost')}\nca_file: {papers.ca}\n"
        f"allow: [127.0.0.0/8, '::1/128']\nsecret: {{env: HOOK_SECRET}}\n{more}"
    )


def openssl_hmac(key, signed, folder):
    (folder / "signed").write_bytes(signed)
    command = [
        "openssl",
        "dgst",
        "-sha256",
        "-mac",
        "HMAC",
        "-macopt",
        f"hexkey:{key.hex()}",
        "-binary",
        str(folder / "signed"),
    ]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_a_message_arrives_whole_and_signed_over_tls(tmp_path, papers, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with (
        serving(tls=(papers.certificate, papers.key)) as server,
        channel_of(tmp_path, over_tls(server, papers)) as webhook,
    ):
        assert webhook.check().startswith(f"localhost:{server.port} ")
        webhook.send(notice(language="es"), picture=JPEG)

    [request] = server.requests
    said = json.loads(request.body)
    assert said["headline"] == "Yaguareté · cam-03 · 12:00"
    assert base64.b64decode(said["picture"]["base64"]) == JPEG
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    version, _comma, signature = headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert base64.b64decode(signature) == openssl_hmac(bytes(range(32)), signed, tmp_path)


def test_a_service_that_is_busy_then_lost_then_back_gets_one_message(tmp_path, papers, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with serving(tls=(papers.certificate, papers.key)) as server:
        with channel_of(tmp_path, over_tls(server, papers)) as webhook:
            server.answers.append((503, {"Retry-After": "20"}, b""))
            with pytest.raises(NotifyError) as busy:
                webhook.send(notice(), picture=JPEG)
        with channel_of(tmp_path, over_tls(server, papers)) as webhook:  # the daemon was started anew
            webhook.send(notice(), picture=JPEG)

    assert busy.value.again_in_s == 20
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


def test_a_server_that_drips_a_byte_a_second_is_left_in_time(tmp_path):
    def drip(connection, over):
        connection.recv(100_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not over.wait(1):
            connection.sendall(b"a")

    with talking(drip) as port:
        settings = f"use: webhook\nurl: http://127.0.0.1:{port}/\nallow_http: true\nallow: [127.0.0.1]\ntimeout_s: 1.5"
        with channel_of(tmp_path, settings) as webhook:
            started = time.monotonic()
            with pytest.raises(NotifyError, match=r"no answer within 1\.5 s"):
                webhook.send(notice(), picture=b"")

    assert 1.4 < time.monotonic() - started < 4


def test_a_program_of_the_site_gets_the_same_document(tmp_path, monkeypatch):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(pictures))
    program = tmp_path / "to-radio"
    program.write_text(
        "#!/usr/bin/env python3\nimport json, os, sys\nnotice = json.load(sys.stdin)\n"
        "if notice['severity'] == 'info':\n    sys.exit('nobody wants this')\n"
        "print(notice['code'], os.path.getsize(os.environ['TIGRILLO_PICTURE']))\n"
    )
    program.chmod(0o755)

    with channel_of(tmp_path, f"use: exec\ncommand: [{program}]") as channel:
        assert channel.send(notice(), picture=JPEG) == f"7F2K {len(JPEG)}"
        with pytest.raises(NoticeRefused, match="to-radio refused it \\(exit code 1\\): nobody wants this"):
            channel.send(notice(severity="info"), picture=JPEG)

    assert list(pictures.iterdir()) == []
