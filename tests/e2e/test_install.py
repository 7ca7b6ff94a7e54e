"""`make install` and `make uninstall`, staged below a DESTDIR as a packager does it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
HOME = Path("usr/local/lib/tigrillo")
SYSTEM_PYTHON = Path("/usr/bin/python3")
MINE = "# my own site\n"

pytestmark = pytest.mark.timeout(300)  # because pip unpacks half a gigabyte


def make(target: str, root: Path, **variables: str) -> str:
    """Run one target of the Makefile below `root`; all it printed."""
    # make's own variables would hand this run's PYTHON down to the one inside
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MAKE", "MFLAGS", "VIRTUAL_ENV"))}
    settings = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        ["make", target, f"DESTDIR={root}", *settings],
        cwd=REPO,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the staged environment. Its first line names the final place, so Python is named here."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [root / HOME / "bin/python", *arguments]
    return subprocess.run(command, cwd=root, env=clean, capture_output=True, text=True, check=False)


def sites_of(root: Path) -> str:
    """Both starter sites as they were installed."""
    return "".join((root / "etc/tigrillo" / name).read_text("utf-8") for name in ("site.yaml", "agent.yaml"))


def files_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module", autouse=True)
def tools_are_here(need):
    need(shutil.which("make") is not None and SYSTEM_PYTHON.exists(), "make and /usr/bin/python3")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DESTDIR with the server role installed."""
    root = tmp_path_factory.mktemp("server")
    make("install", root)
    return root


@pytest.fixture(scope="module")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DESTDIR with the agent alone, over an agent.yaml that was there before."""
    root = tmp_path_factory.mktemp("pi")
    (root / "etc/tigrillo").mkdir(parents=True)
    (root / "etc/tigrillo/agent.yaml").write_text(MINE)
    make("install", root, ROLE="agent")
    return root


def test_the_installed_command_runs_and_the_sites_that_come_with_it_are_good(server):
    help_text = run(server, str(HOME / "bin/tigrillo"), "--help")
    check = run(server, str(HOME / "bin/tigrillo"), "check", "etc/tigrillo/site.yaml")
    folders = re.findall(r"^ *(?:- )?(?:state_dir|folder|path): (\S+)", sites_of(server), re.MULTILINE)

    assert help_text.returncode == 0, help_text.stderr
    assert "process" in help_text.stdout
    assert check.returncode == 0, check.stderr
    assert len(folders) == 4
    assert all(folder.startswith("/var/lib/tigrillo") for folder in folders), folders


def test_nothing_in_it_knows_the_folder_it_was_staged_in(server):
    scripts = [path for path in (server / HOME / "bin").iterdir() if not path.is_symlink()]
    texts = [*scripts, server / HOME / "pyvenv.cfg", *(server / "usr/local/lib/systemd/system").iterdir()]

    knowing = [path.name for path in texts if str(server) in path.read_text("utf-8")]

    assert (server / "usr/local/bin/tigrillo").readlink() == Path("/") / HOME / "bin/tigrillo"
    assert (server / HOME / "bin/tigrillo").read_text().startswith(f"#!/{HOME}/bin/python")
    assert knowing == []


def test_systemd_has_nothing_to_say_of_the_installed_units(server, tmp_path, need):
    need(shutil.which("systemd-analyze") is not None, "systemd-analyze (Debian package systemd)")
    units = []
    for unit in (server / "usr/local/lib/systemd/system").iterdir():
        units.append(tmp_path / unit.name)
        # the programs lie below DESTDIR now; nothing else is changed
        units[-1].write_text(unit.read_text("utf-8").replace("=/usr/local/", f"={server}/usr/local/"), "utf-8")
    (server / "usr/local/bin/tigrillo").unlink()
    (server / "usr/local/bin/tigrillo").symlink_to(server / HOME / "bin/tigrillo")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )

    assert len(units) == 3
    assert done.stdout + done.stderr == ""


def test_a_pi_gets_the_agent_alone(pi):
    libraries = next((pi / HOME / "lib").iterdir()) / "site-packages"

    answer = run(pi, "-m", "raspberry_pi.agent", "etc/tigrillo/agent.yaml")

    assert not (libraries / "numpy").exists()
    assert (libraries / "paho").is_dir()
    assert answer.returncode == 78  # our agent.yaml is a comment and nothing else
    assert "agent.yaml:1:1" in answer.stderr


def test_a_configuration_that_is_there_stays_as_it_is(pi):
    assert (pi / "etc/tigrillo/agent.yaml").read_text() == MINE
    assert (pi / "etc/tigrillo/site.yaml").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--help"], "--token TOKEN"),
        (["--tokn"], "unknown option --tokn"),
        (["--bundle", "nowhere.tar"], "nowhere.tar: no such file"),
        (["--token", "a", "--bundle", "b"], "give one of the two"),
        (["--root", "nowhere"], "holds no Debian system"),
    ],
)
def test_the_installer_for_a_pi_says_what_it_wants_and_changes_nothing(options, said, need):
    need(os.geteuid() == 0, "root")

    done = subprocess.run([REPO / "scripts/install_agent.sh", *options], capture_output=True, text=True, check=False)

    assert said in done.stdout + done.stderr
    assert done.returncode == (0 if options == ["--help"] else 1)


def test_uninstall_leaves_what_belongs_to_people_and_nothing_else(pi):
    frame = pi / "var/lib/tigrillo/media/frame.jpg"
    frame.parent.mkdir(parents=True)
    frame.write_bytes(b"a frame")

    make("uninstall", pi)

    assert files_of(pi) == {"etc/tigrillo/agent.yaml", "etc/tigrillo/site.yaml", "var/lib/tigrillo/media/frame.jpg"}
