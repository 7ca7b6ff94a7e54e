"""What `check` and `doctor` say of a page: open to the network, certificates, a map and log-ins that are not there."""

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.site_web import WebConfig, risks_of
from tests.web_rig import SITE


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 0),
        ({"listen": "127.0.0.2"}, 0),
        ({"listen": "::1"}, 0),
        ({"listen": "localhost"}, 0),
        ({"listen": "0.0.0.0"}, 1),
        ({"listen": "::"}, 1),
        ({"listen": "192.0.2.7", "proxies": ["192.0.2.8"]}, 0),
        ({"listen": "0.0.0.0", "tls": {"certificate": "a.pem", "key": "b.pem"}}, 0),
        ({"address": "https://traps.example.org"}, 1),
        ({"address": "https://traps.example.org", "proxies": ["127.0.0.1"]}, 0),
        ({"address": "http://traps.local"}, 0),
    ],
)
def test_what_crosses_the_network_in_the_open_is_said(settings, count):
    assert len(risks_of(WebConfig.model_validate(settings))) == count


def test_check_says_it_and_the_site_is_good_all_the_same(tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("web: {}", "web: {listen: 0.0.0.0}"))

    done = CliRunner().invoke(app, ["check", str(site)])

    assert done.exit_code == 0
    assert "in the open" in done.output


def checked(tmp_path, web: str):
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("web: {}", f"web: {web}"))
    return CliRunner().invoke(app, ["check", str(site)])


def test_check_says_what_of_the_page_is_not_there(tmp_path):
    (tmp_path / "web.crt").write_text("no certificate")
    (tmp_path / "web.key").write_text("no key")

    missing = checked(tmp_path, "{tls: {certificate: other.crt, key: web.key}, tiles: reserve.pmtiles}")
    wrong = checked(tmp_path, "{tls: {certificate: web.crt, key: web.key}}")

    assert (missing.exit_code, wrong.exit_code) == (0, 0), "frames are recorded without a page"
    assert f"{tmp_path}/other.crt can't be read: No such file" in missing.output
    assert f"{tmp_path}/reserve.pmtiles is not there" in missing.output
    assert f"{tmp_path}/web.crt and {tmp_path}/web.key are no certificate and its key" in wrong.output


def test_check_refuses_a_login_that_no_plugin_has(tmp_path):
    found = checked(tmp_path, "{logins: {acme: {}}}")

    line = SITE.splitlines().index("web: {}") + 1
    assert f"site.yaml:{line}:16 web.logins.acme: no plugin is called 'acme'" in str(found.exception)
