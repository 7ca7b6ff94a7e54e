"""`tigrillo doctor` on the web page: does it answer, or could it?"""

import socket

import pytest

from edge.config import load_plan
from edge.daemon import only_one
from edge.doctor import _page
from edge.registry import load_registry

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def said(tmp_path, registry, web):
    site = tmp_path / "site.yaml"
    site.write_text(f"sources: [{{use: watch, folder: inbox}}]\nstages: [{{use: motion}}]\n{web}\n")
    return [(each.verdict, each.says) for each in _page(load_plan(site, registry))]


def test_a_site_without_a_page_is_told_nothing(tmp_path, registry):
    assert said(tmp_path, registry, "") == []


def test_a_port_is_free_taken_or_ours(tmp_path, registry):
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        web = f"web: {{port: {port}}}"
        taken = said(tmp_path, registry, web)
        with only_one(tmp_path / "state"):
            ours = said(tmp_path, registry, web)
    free = said(tmp_path, registry, web)
    with only_one(tmp_path / "state"):
        silent = said(tmp_path, registry, web)

    assert taken == [("bad", f"{HOST}:{port}: another program listens there")]
    assert ours == [("good", f"{HOST}:{port} answers")]
    assert free == [("good", f"{HOST}:{port} is free")]
    assert silent == [("warn", f"{HOST}:{port} does not answer, though tigrillo runs")]


def test_a_certificate_that_is_not_there_is_named(tmp_path, registry):
    (tmp_path / "key.pem").touch()

    found = said(tmp_path, registry, "web: {tls: {certificate: cert.pem, key: key.pem}}")

    assert found[1:] == [("bad", f"web.tls: {tmp_path}/cert.pem can't be read: No such file or directory")]
