"""What every template of the web page keeps to: texts are marked, nothing is inline, nothing comes from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[2] / "server"
TEMPLATES = sorted((ROOM / "templates").rglob("*.html"))
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
WORDS = re.compile(r"[^\W\d_]{2,}")
NAMES = {
    "Tigrillo",
    "px",
    "ms",
    "kbd",
    "Ctrl",
    "Esc",
    "Enter",
    "Shift",
    "YAML",
    "API",
    "OpenAPI",
    "SHA",
    "OpenCL",
    "ONNX",
    "Runtime",
    "site",
    "yaml",
}
SPOKEN = {"alt", "title", "placeholder", "aria-label", "aria-description", "label"}


class Texts(HTMLParser):
    """Collects what a person would read, and what the policy of guard.py forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken: list[str] = []
        self.forbidden: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "link", "input", "img", "br", "hr"}:
            self._inside.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.forbidden.append(f"<{tag} {name}>")
            if name in {"src", "href", "action"} and re.match(r"https?:|//", value or ""):
                self.forbidden.append(f"<{tag} {name}={value}>")
            if name in SPOKEN:
                self.spoken.append(value or "")
        if tag == "script" and "src" not in dict(attrs) and dict(attrs).get("type") != "application/json":
            self.forbidden.append("inline script")
        if tag == "style":
            self.forbidden.append("inline style")

    def handle_endtag(self, tag):
        if tag in self._inside:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(tag) :]

    def handle_data(self, data):
        if not set(self._inside) & {"kbd", "code", "script", "symbol"}:
            self.spoken.append(data)


def read(path: Path) -> Texts:
    texts = Texts()
    texts.feed(JINJA.sub("", path.read_text("utf-8")))
    return texts


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOM).as_posix())
def test_what_people_read_is_marked_for_translation(path):
    left = {word for text in read(path).spoken for word in WORDS.findall(text)} - NAMES

    assert not left, "write {{ _('…') }}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOM).as_posix())
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(path):
    assert not read(path).forbidden


def test_an_unmarked_text_is_found():
    texts = Texts()
    texts.feed('<p title="Jaguar" style="x">Nothing here</p><script>1</script>')

    assert {"Jaguar", "Nothing here"} <= set(texts.spoken)
    assert texts.forbidden == ["<p style>", "inline script"]
