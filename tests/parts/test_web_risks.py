"""What `check` and `doctor` say of a page that others on the network can listen in on."""

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
