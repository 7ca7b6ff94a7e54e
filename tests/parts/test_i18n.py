"""Every text for people is there in English and in Spanish; what others make is put into the reader's language too."""

import ast
import gettext
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from string import Formatter
from types import ModuleType

import pytest
import yaml
from babel.messages.pofile import read_po

from edge import foreign as foreign_module
from edge import i18n
from edge.commands import words
from edge.config import plan_from
from edge.demo.show import WORDS
from edge.errors import ConfigError
from edge.foreign import TEMPLATES, foreign
from edge.i18n import CATALOGUE, decimal, read_catalogue, translate
from edge.model import VERBS, Category
from edge.models.importing import NOTES
from edge.registry import load_registry
from server import CATALOGUE as PAGES

REPO = Path(__file__).resolve().parents[2]
ROOMS = ("edge", "plugins", "raspberry_pi", "server")
# Words that are the same in both languages.
SAME = {
    "Error",
    "Detector",
    "Animal",
    "animal",
    "kernel",
    "no",
    "{where}: {problem}",
    "station, broker, spool, camera, trigger",
    "true or false",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/update_catalogue.py."""
    spec = importlib.util.spec_from_file_location("update_catalogue", REPO / "scripts" / "update_catalogue.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def spanish(monkeypatch) -> None:
    monkeypatch.setenv("TIGRILLO_LANG", "es")


@pytest.fixture(scope="module", params=["everything", "pages"])
def path(request) -> Path:
    """Each catalogue: of command line, alerts and errors, and of the web page."""
    return PAGES if request.param == "pages" else CATALOGUE


@pytest.fixture(scope="module")
def texts(script, path) -> dict[str, list[str]]:
    """Every marked text of a catalogue and its files."""
    marked: dict[str, list[str]] = script.page_texts() if path == PAGES else script.marked_texts()
    return marked


@pytest.fixture(scope="module")
def catalogue(path):
    with path.open("rb") as file:
        return {entry.id: entry for entry in read_po(file, locale="es", abort_invalid=True) if entry.id}


def values_of(text: str) -> set[tuple[str, str, str]]:
    """The values a text is filled with: name, format and conversion. `{env: NAME}` is YAML, and no value."""
    return {
        (name, spec or "", conversion or "")
        for _literal, name, spec, conversion in Formatter().parse(text)
        if name is not None and not (spec or "").startswith(" ")
    }


def test_every_marked_text_is_in_the_catalogue_and_nothing_else_is(texts, catalogue):
    assert len(texts) > 30
    assert not sorted(set(texts) - set(catalogue)), "run scripts/update_catalogue.py"
    assert not sorted(set(catalogue) - set(texts)), "run scripts/update_catalogue.py"


def test_every_text_is_translated_and_checked_by_a_person(catalogue):
    assert not [text for text, entry in catalogue.items() if not entry.string]
    assert not [text for text, entry in catalogue.items() if entry.fuzzy]


def test_translations_differ_from_the_english(catalogue):
    assert {text for text, entry in catalogue.items() if text == entry.string} <= SAME | {
        text for text in catalogue if not re.search(r"[a-z]{3}", re.sub(r"\{.*?\}", "", text))
    }


def test_a_translation_has_the_values_of_its_text(texts, catalogue):
    for text, entry in catalogue.items():
        # what a library says may have a value that tells a Spanish reader nothing
        dropped = values_of(text) - values_of(entry.string)
        assert values_of(entry.string) <= values_of(text), text
        assert not dropped or texts[text] == ["edge/foreign.py"], text


def test_a_translation_keeps_the_names_that_a_person_must_type(catalogue):
    for text, entry in catalogue.items():
        for name in re.findall(r"(?<![\w-])--[a-z-]+|tigrillo [a-z]+ ?[a-z]*(?=`)", text):
            assert name in entry.string, text


def test_the_catalogue_is_as_the_script_writes_it(script, path, texts):
    written = "".join(script.merged(texts, script.read_translations(path)))

    assert path.read_text("utf-8") == written


def test_a_reworded_text_keeps_its_translation_as_fuzzy(script):
    before = {"{path}: is not empty, name another": ("{path}: no está vacía", False), "gone": ("ido", False)}

    written = "".join(script.merged({"{path}: is not empty: name another": ["a.py"]}, before))

    assert '#, fuzzy\nmsgid "{path}: is not empty: name another"\nmsgstr "{path}: no está vacía"\n' in written
    assert "gone" not in written
    assert read_catalogue(written) == {}


def test_our_reader_reads_what_babel_reads(catalogue, path):
    ours = read_catalogue(path.read_text("utf-8"))

    assert ours == {text: entry.string for text, entry in catalogue.items()}


@pytest.mark.parametrize("room", ROOMS)
def test_only_plain_text_is_marked(room):
    """`_(f"…")` would look for the filled-in text, which no catalogue has."""
    calls = [
        (path.relative_to(REPO).as_posix(), node)
        for path in (REPO / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"_", "translate", "mark"}
    ]

    assert not [f"{path}:{node.lineno}" for path, node in calls if isinstance(node.args[0], ast.JoinedStr)]


FATAL = {
    "ConfigError", "FatalError", "KernelBuildError", "ModelError", "NoDeviceError", "PluginLoadError", "SchemaError",
    "UnsupportedOpError",
}  # fmt: skip


def test_errors_that_end_a_command_are_marked():
    """An unmarked text that starts with more than a value reaches a Spanish reader in English."""
    unmarked = []
    for path in (*(REPO / "edge").rglob("*.py"), *(REPO / "plugins").rglob("*.py")):
        if path.name in {"fakes.py", "testing.py", "testing_megadetector.py"}:  # for authors of tests
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
                continue
            name, first = ast.unparse(node.exc.func), node.exc.args[0]
            plain = isinstance(first, ast.Constant | ast.JoinedStr)
            words_in_it = re.sub(r"\{.*?\}", "", ast.unparse(first)) if plain else ""
            if name in FATAL and re.search(r"[a-z]{3}", words_in_it):
                unmarked.append(f"{path.relative_to(REPO)}:{node.lineno}")

    assert not unmarked


def test_constants_that_are_translated_later_are_marked(script):
    assert len(WORDS) == len(VERBS) == 8
    assert WORDS == VERBS
    marked = set(script.marked_texts())
    assert {*WORDS, *Category.__args__, *NOTES.values(), *TEMPLATES, *words.WORDS.values()} <= marked


def test_numbers_are_written_as_people_write_them(spanish):
    assert decimal(12.34) == "12,3"
    assert decimal(12.345, digits=2, language="en") == "12.35"
    assert decimal(3, digits=0) == "3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Permission denied", "permiso denegado"),
        ("[Errno 2] No such file or directory: 'x: y'", "no existe tal archivo o carpeta (error 2): 'x: y'"),
        ("[Errno 99] strange thing: 'x'", "strange thing (error 99): 'x'"),
        ("Input should be greater than or equal to 5", "debe ser mayor o igual que 5"),
        ("Input should be greater than 5", "debe ser mayor que 5"),
        ("Invalid value for '--fps': Input should be less than 3", "Valor no válido en '--fps': debe ser menor que 3"),
        ("No such command 'a'. Did you mean 'b'?", "No existe el comando 'a'. ¿Quiso decir 'b'?"),
        ("a text that nobody knows", "a text that nobody knows"),
        ("{braces} and {0}", "{braces} and {0}"),
        ("", ""),
    ],
)
def test_texts_that_others_make_are_recognised(spanish, text, expected):
    assert foreign(text) == expected


def test_texts_that_others_make_stay_as_they_are_for_english_readers(monkeypatch):
    monkeypatch.setenv("TIGRILLO_LANG", "en")

    for text in ("Permission denied", "[Errno 2] No such file or directory: 'x'", "Input should be less than 3"):
        assert foreign(text) == text


def test_what_libraries_say_today_is_what_the_templates_expect(spanish):
    """The texts themselves come from the system, PyYAML and pydantic, so that a new wording is noticed."""
    site = (
        "limits: {inbox_frames: 99, spool_bytes: 20 bananas, grace_s: -1, compute_jobs: x}\n"
        "sources: 3\nmedia: {sample_fps: x, max_pixels: 1.5}\n"
    )
    broken = ("a: b: c", "a:\n\t- b", "a: [1", "a: *b", 'a: "', "a: [", "- a\nb: c")

    faults = [_faults(text) for text in (site, *broken)]

    english = re.compile(r"\b(Input|should|expected|found|could|not allowed|but|got)\b")
    assert not [fault for fault in faults if english.search(fault)]


def _faults(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_from(text, Path("site.yaml"), load_registry())
    return str(caught.value)


def test_a_long_text_that_fits_no_template_costs_little(spanish):
    text = "Invalid value for " + "a: " * 2000 + "b"

    started = time.perf_counter()
    foreign(text)

    assert time.perf_counter() - started < 2  # it takes milliseconds; a template that backtracks takes minutes


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"LANG": "es_CO.UTF-8"}, "es"),
        ({"LANG": "es_CO.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "TIGRILLO_LANG": "es"}, "es"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
    ],
)
def test_the_reader_is_known_by_the_environment(monkeypatch, variables, language):
    for name in ("TIGRILLO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert i18n.user_language() == language


def test_alerts_are_in_the_language_of_the_site_and_not_of_the_process(monkeypatch):
    monkeypatch.setenv("TIGRILLO_LANG", "en")

    assert translate("Station", "es") == "Estación"


# ── the commands as a person sees them ────────────────────────────────────────────────────────────────────────────────


def run(*arguments: str | Path, language: str, cwd: Path) -> tuple[int, str, str]:
    """Exit code, standard output and error of `tigrillo` on a wide, dumb terminal."""
    kept = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "LANG", "LC_ALL"}}
    plain = {"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1", "TIGRILLO_LANG": language, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [Path(sys.executable).with_name("tigrillo"), *arguments],
        env=kept | plain, cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


COMMANDS = (
    "init", "check", "run", "process", "agent", "demo", "plugins", "replay", "doctor", "bench", "chaos",
    "models list", "models show", "models pull", "models verify", "models import",
)  # fmt: skip


@pytest.fixture(scope="module")
def helps(tmp_path_factory) -> dict[tuple[str, str], str]:
    """(language, command) → what its --help prints. One process a language: each start takes half a second."""
    folder = tmp_path_factory.mktemp("helps")
    script = (
        "import sys, edge.cli\n"
        "for name in sys.argv[1:]:\n"
        "    print(chr(1) + name, flush=True)\n"
        "    try:\n        edge.cli.app([*name.split(), '--help'], prog_name='tigrillo')\n"
        "    except SystemExit as exc:\n        assert not exc.code\n"
    )
    found = {}
    for language in ("en", "es"):
        done = subprocess.run(
            [sys.executable, "-c", script, "", *COMMANDS],
            env=os.environ | {"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1", "TIGRILLO_LANG": language},
            cwd=folder, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        for part in done.stdout.split("\x01")[1:]:
            name, _newline, text = part.partition("\n")
            found[language, name] = text
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_tells_more_than_its_line_in_the_list(helps, command):
    for language in ("en", "es"):
        shown = helps[language, command]
        paragraphs = [part for part in re.split(r"\n\s*\n", shown.split("╭")[0]) if part.strip()]

        assert len(paragraphs) >= 3, shown  # usage, what it does, what to know


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_in_spanish_has_no_english_left(helps, command):
    shown = helps["es", command]

    assert "Uso: " in shown
    assert "Muestra esta ayuda y termina." in shown
    assert not re.findall(r"\b(?:the|with|which|Usage|Options|Arguments|Commands|Show|required|default:)\b", shown)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_in_english_is_typers_own(helps, command):
    shown = helps["en", command]

    assert "Usage: tigrillo" in shown
    assert "Show this message and exit." in shown


def test_a_wrong_call_is_told_in_spanish(tmp_path):
    code, _out, told = run("process", "--fps", "x", "a", language="es", cwd=tmp_path)

    assert code == 2
    assert "Uso: tigrillo process [OPCIONES]" in told
    assert "Valor no válido en '--fps': debe ser un número" in told
    assert "Pruebe 'tigrillo process --help' para ver la ayuda." in told


def test_check_tells_every_fault_in_spanish(tmp_path):
    site = tmp_path / "bad.yaml"
    site.write_text("site: {language: fr}\nstages: [{use: detekt}]\nrules: [{name: r, at: 22:30}]\n", "utf-8")

    code, _out, told = run("check", site, language="es", cwd=tmp_path)

    assert code == 78
    assert "'fr' no es uno de 'en' o 'es'" in told
    assert "ningún complemento se llama 'detekt'; ¿quiso decir 'detect'?" in told
    assert "22:30 sin comillas es un número para YAML: escriba '22:30'" in told
    assert all(re.match(r".*:\d+:\d+ ", line) for line in told.splitlines())


def test_doctor_speaks_spanish(tmp_path):
    code, told, _err = run("doctor", language="es", cwd=tmp_path)

    assert code in {0, 1}  # whether models are installed is not the question here
    assert "programa" in told
    assert "núcleos" in told
    assert "no se indicó un sitio" in told


# ── starter sites ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["site.yaml", "agent.yaml", "agent-pi.yaml", "agent-usb.yaml"])
def test_starter_files_have_the_same_keys_in_both_languages(name):
    english, spanish = (
        yaml.safe_load((REPO / "configs" / language / name).read_text("utf-8")) for language in ("en", "es")
    )

    assert _keys(english) == _keys(spanish)


def _keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: _keys(each) for key, each in value.items()}
    return [_keys(each) for each in value] if isinstance(value, list) else None


@pytest.mark.parametrize("name", ["site.yaml", "agent.yaml", "agent-pi.yaml", "agent-usb.yaml"])
def test_starter_files_say_the_same_in_as_many_comments(name):
    english, spanish = (
        [line.strip() for line in (REPO / "configs" / language / name).read_text("utf-8").splitlines() if "#" in line]
        for language in ("en", "es")
    )

    assert len(english) == len(spanish) > 5
    assert english != spanish


@pytest.mark.parametrize("language", ["en", "es"])
def test_starter_sites_pass_the_check(language):
    path = REPO / "configs" / language / "site.yaml"

    plan = plan_from(path.read_text("utf-8"), path, load_registry())

    assert plan.file.site.language == language


def test_nothing_of_gettext_is_replaced():
    """typer's own words are changed by name, in typer; argparse and others keep theirs."""
    assert gettext.gettext("Usage") == "Usage"
    assert foreign_module._ is i18n._


def test_every_reason_why_an_operator_cannot_run_is_marked():
    literal = (ast.Constant, ast.JoinedStr)
    unmarked = [
        f"{path.name}:{call.lineno}"
        for path in sorted((REPO / "edge" / "inference").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "unsupported"
        if isinstance(call.args[1], literal)
    ]

    assert unmarked == []
