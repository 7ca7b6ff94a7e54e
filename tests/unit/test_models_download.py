import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.errors import ModelError
from edge.models.download import Download, download

BODY = bytes(range(256)) * 4000  # a megabyte: more than one chunk
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Site:
    """A web server on this machine, with the faults that a test gives it."""

    body: bytes = BODY
    ranges: bool = True
    etag: str = ""
    length: bool = True
    status: int = 0
    location: str = ""
    break_after: list[int] = field(default_factory=list)  # bytes sent before the line breaks, one for each request
    asked: list[str] = field(default_factory=list)  # Range header of each request
    url: str = ""


class Server(ThreadingHTTPServer):
    site: Site

    def handle_error(self, *_args: object) -> None:
        """A client that hangs up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_args: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append(self.headers.get("Range", ""))
        start = self.start_of_range(site)
        if site.status:
            self.answer(site.status, {"Location": site.location} if site.location else {})
        elif start and start >= len(site.body):
            self.answer(416, {})
        else:
            self.answer(206 if start else 200, self.headers_of(site, start))
            stop = site.break_after.pop(0) if site.break_after else len(site.body)
            self.wfile.write(site.body[start : start + stop])

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def headers_of(self, site: Site, start: int) -> dict[str, str]:
        size = len(site.body)
        headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
        headers |= {"Content-Length": str(size - start)} if site.length else {}
        return headers | ({"ETag": site.etag} if site.etag else {})

    def start_of_range(self, site: Site) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", site.etag) == site.etag
        return int(asked[1]) if asked and site.ranges and same else 0


@pytest.fixture
def site() -> Iterator[Site]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site(url=f"http://127.0.0.1:{server.server_port}/model.onnx")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.site
        server.shutdown()
        thread.join()


def fetch(site: Site, folder: Path, *, sha256: str = SHA256, size_bytes: int = len(BODY)) -> str:
    wanted = Download(site.url, folder / "model", sha256=sha256, size_bytes=size_bytes)
    return download(wanted, received=lambda _done, _total: None)


def test_a_file_arrives_whole_and_progress_is_told(site: Site, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    sha256 = download(
        Download(site.url, tmp_path / "model", sha256=SHA256), received=lambda done, total: told.append((done, total))
    )

    assert sha256 == SHA256
    assert (tmp_path / "model").read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_a_broken_download_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.break_after = [300_000, 200_000]

    fetch(site, tmp_path)

    assert (tmp_path / "model").read_bytes() == BODY
    assert site.asked == ["", "bytes=300000-", "bytes=500000-"]


def test_a_download_that_stays_broken_says_so_and_the_next_call_goes_on(site: Site, tmp_path: Path) -> None:
    site.break_after = [100_000, 100_000, 100_000, 100_000]

    with pytest.raises(ModelError, match=r"broke off after 400000 bytes .* the same command goes on from there"):
        fetch(site, tmp_path)
    assert not (tmp_path / "model").exists()
    site.asked.clear()
    fetch(site, tmp_path)

    assert site.asked == ["bytes=400000-"]
    assert (tmp_path / "model").read_bytes() == BODY
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_a_server_without_ranges_starts_again_and_the_file_is_right(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.break_after = [300_000]

    fetch(site, tmp_path)

    assert site.asked == ["", "bytes=300000-"]
    assert (tmp_path / "model").read_bytes() == BODY


def test_two_versions_of_a_file_are_never_mixed(site: Site, tmp_path: Path) -> None:
    site.etag = '"one"'
    site.break_after = [100_000] * 4
    with pytest.raises(ModelError, match="broke off"):
        fetch(site, tmp_path, sha256="", size_bytes=0)

    site.etag, site.body = '"two"', BODY[::-1]
    fetch(site, tmp_path, sha256="", size_bytes=0)

    assert (tmp_path / "model").read_bytes() == BODY[::-1]


def test_without_hash_or_version_tag_a_part_is_not_trusted(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.part").write_bytes(b"x" * 1000)

    fetch(site, tmp_path, sha256="", size_bytes=0)

    assert site.asked == [""]
    assert (tmp_path / "model").read_bytes() == BODY


@pytest.mark.parametrize("extra", [0, 5000])
def test_a_part_as_long_as_the_file_or_longer_is_thrown_away(site: Site, tmp_path: Path, extra: int) -> None:
    (tmp_path / "model.part").write_bytes(b"x" * (len(BODY) + extra))

    fetch(site, tmp_path)

    assert (tmp_path / "model").read_bytes() == BODY


def test_a_part_longer_than_the_server_s_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.part").write_bytes(b"x" * (len(BODY) + 10))

    fetch(site, tmp_path, size_bytes=0)

    assert site.asked == [f"bytes={len(BODY) + 10}-", ""]
    assert (tmp_path / "model").read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_nothing_is_left(site: Site, tmp_path: Path) -> None:
    site.body = BODY[:-1] + b"!"

    with pytest.raises(ModelError, match=f"expected {SHA256}: refused, nothing was kept"):
        fetch(site, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_ends_as_a_wrong_hash_and_the_next_call_is_right(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.part").write_bytes(b"damage" * 1000)

    with pytest.raises(ModelError, match="refused, nothing was kept"):
        fetch(site, tmp_path)
    assert list(tmp_path.iterdir()) == []
    fetch(site, tmp_path)

    assert (tmp_path / "model").read_bytes() == BODY


def test_a_wrong_size_is_refused_before_the_download(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"the server has {len(BODY)} bytes, expected 1000: refused"):
        fetch(site, tmp_path, size_bytes=1000)

    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_more_than_the_catalogue_says_is_cut_off(site: Site, tmp_path: Path) -> None:
    site.length = False

    with pytest.raises(ModelError, match="sends more than 1000 bytes: refused"):
        fetch(site, tmp_path, size_bytes=1000)

    assert list(tmp_path.iterdir()) == []


def test_a_server_that_tells_no_length_but_breaks_off_is_noticed(site: Site, tmp_path: Path) -> None:
    site.length = False
    site.break_after = [5000]

    fetch(site, tmp_path)

    assert (tmp_path / "model").read_bytes() == BODY


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusing_server_is_asked_once_and_leaves_nothing(site: Site, tmp_path: Path, status: int) -> None:
    site.status = status

    with pytest.raises(ModelError, match=f"the server answers {status} .*; nothing was downloaded"):
        fetch(site, tmp_path)

    assert len(site.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_overloaded_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.status = 503

    with pytest.raises(ModelError, match=r"can't be reached \(the server answers 503\)"):
        fetch(site, tmp_path)

    assert len(site.asked) > 1


def test_no_server_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"can't be reached \(.*refused.*\); is there a network\?"):
        fetch(Site(url="http://127.0.0.1:1/x"), tmp_path)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_to_something_that_is_no_web_server_is_not_followed(site: Site, tmp_path: Path, target: str) -> None:
    site.status, site.location = 302, target

    with pytest.raises(ModelError):
        fetch(site, tmp_path, sha256="", size_bytes=0)

    assert list(tmp_path.iterdir()) == []
