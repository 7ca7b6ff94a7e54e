"""Channel `apprise` with the real library, posting to servers on the loopback."""

import base64
import builtins
import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from pydantic import ValidationError

from edge.clock import SteppedClock
from edge.errors import ConfigError, NotifyError
from edge.fakes import NOON
from edge.i18n import translate
from edge.notices import Wording
from edge.testing import fake_services, notice
from plugins.notifiers.apprise import SPEC, AppriseConfig, hide
from tests.e2e.local_http import serving, talking

# The library looks for a module that Python 3.13 no longer has, when its services are first asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
JPEG = b"\xff\xd8picture\xff\xd9"


@pytest.fixture
def two():
    with ExitStack() as stack:
        yield [stack.enter_context(serving()) for _each in range(2)]


@contextmanager
def an_apprise(monkeypatch, *urls, **settings):
    for number, url in enumerate(urls):
        monkeypatch.setenv(f"APPRISE_URL_{number}", url)
    secrets = [{"env": f"APPRISE_URL_{number}"} for number in range(len(urls))]
    config = AppriseConfig.model_validate({"urls": secrets, "timeout_s": 10} | settings)
    with SPEC.build(config, fake_services(clock=SteppedClock(NOON))) as notifier:
        yield notifier


def to(server, key="k3y-of-service"):
    return f"json://127.0.0.1:{server.port}/{key}"


def test_every_service_gets_words_and_picture(monkeypatch, two):
    with an_apprise(monkeypatch, *map(to, two)) as apprise:
        apprise.send(notice(link="https://trap.example/a/1"), picture=JPEG)

    for server in two:
        [request] = server.requests
        said = json.loads(request.body)
        assert said["title"] == "Jaguar · cam-03 · 12:00"
        assert said["message"].splitlines()[0] == "Seen: Jaguar (Panthera onca), 93%"
        assert said["message"].splitlines()[-1] == "https://trap.example/a/1"
        assert said["type"] == "warning"
        [attached] = said["attachments"]
        assert (attached["filename"], attached["mimetype"]) == ("picture.jpg", "image/jpeg")
        assert base64.b64decode(attached["base64"]) == JPEG


def test_an_alert_whose_picture_is_lost_says_so_in_its_language(monkeypatch, two):
    with an_apprise(monkeypatch, to(two[0])) as apprise:
        apprise.send(notice(language="es"), picture=b"")

    said = json.loads(two[0].requests[0].body)
    assert "attachments" not in said or not said["attachments"]
    assert said["message"].splitlines()[-1] == translate("The picture could not be read any more.", "es")


def test_a_message_about_no_animal_is_its_rows(monkeypatch, two):
    with an_apprise(monkeypatch, to(two[0])) as apprise:
        words = Wording("All is well", (("", "7 stations were heard today."),))
        apprise.send(notice(kind="health", severity="critical", alert=None, words=words), picture=b"")
        apprise.send(notice(kind="test", alert=None, words=Wording("A test", ())), picture=b"")

    first, second = (json.loads(request.body) for request in two[0].requests)
    assert (first["title"], first["message"], first["type"]) == (
        "All is well",
        "7 stations were heard today.",
        "failure",
    )
    assert second["message"] == "A test"


def test_who_has_a_message_does_not_get_it_again_when_another_failed(monkeypatch, two):
    two[1].answers.append((500, {}, b""))
    with an_apprise(monkeypatch, *map(to, two)) as apprise:
        with pytest.raises(NotifyError, match=r"^urls\[1\] \(JSON\): .*500") as failure:
            apprise.send(notice(), picture=b"")
        assert "k3y-of-service" not in str(failure.value)
        apprise.send(notice(), picture=b"")
        apprise.send(notice(key="another"), picture=b"")

    assert [len(server.requests) for server in two] == [2, 3]


def test_a_service_that_hangs_is_left_and_the_others_served(monkeypatch, two):
    started = time.monotonic()
    with talking(lambda _connection, over: over.wait(2)) as port:
        urls = (f"json://127.0.0.1:{port}/?rto=0.6", to(two[0]))
        with an_apprise(monkeypatch, *urls, timeout_s=0.3) as apprise:
            with pytest.raises(NotifyError, match=r"^urls\[0\]"):
                apprise.send(notice(), picture=b"")
            assert time.monotonic() - started < 1.5
    assert len(two[0].requests) == 1


def test_no_part_of_an_url_is_told():
    url = "tgram://123456:AbC%2Ddef/-10012345/?format=text"

    assert hide("bot 123456:AbC-def failed for -10012345: AbC%2Ddef", [url]) == "bot …:… failed for …: …"
    assert hide(f"{url} failed", [url]) == "… failed"


@pytest.mark.parametrize("url", ["nosuchservice://k3y-of-service", "k3y-of-service", "tgram://k3y-of-service"])
def test_an_address_that_apprise_does_not_know_is_told_at_the_start(monkeypatch, two, url):
    with pytest.raises(ConfigError) as refusal, an_apprise(monkeypatch, to(two[0]), url):
        pass

    assert "urls[1] is no address that Apprise knows" in str(refusal.value)
    assert "k3y" not in str(refusal.value)


def test_without_the_library_the_channel_says_how_to_get_it(monkeypatch, two):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name.split(".")[0] == "apprise":
            raise ModuleNotFoundError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"pip install 'tigrillo\[apprise\]'"), an_apprise(monkeypatch, to(two[0])):
        pass


def test_the_library_is_not_loaded_by_a_site_without_the_channel():
    script = "import sys, edge.registry; edge.registry.load_registry(); print('apprise' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("urls", [[], ["json://in.clear/"], None])
def test_settings_that_can_t_be_are_refused(urls):
    with pytest.raises(ValidationError):
        AppriseConfig.model_validate({"urls": urls})
