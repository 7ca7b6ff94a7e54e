"""`python -m raspberry_pi.enroll TOKEN --config AGENT.yaml`: this Pi becomes a station.

Token → the authority's certificate, compared with the token before anything is said → a key, made here → a request for
a certificate, with the token's secret → files, and station and broker in AGENT.yaml. Needs `cryptography`, no more.
"""

import argparse
import base64
import os
import ssl
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.i18n import _, user_language
from edge.paths import data_dir, write_atomically
from edge.tls import Tls
from edge.tokens import Token, TokenError, read_token

from .agent_yaml import state_dir_of, with_station
from .identity import Answer, EnrollError, Identity, ask, new_key, read_answer, save, secured, signing_request


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it."""

    station: str
    broker: str
    folder: Path
    config: Path


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m raspberry_pi.enroll", description=_("Make this Pi a station."))
    parser.add_argument("token", metavar="TOKEN", help=_("What `tigrillo station add` printed on the server."))
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("agent.yaml"),
        metavar="AGENT.yaml",
        help=_("The agent's YAML file; its station and broker are written, the rest stays as it is."),
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        help=_("Where key and certificate go; `identity` in state_dir, else beside the YAML file."),
    )
    given = parser.parse_args(argv)
    return run(given.token, given.config, given.folder)


def run(token: str, config: Path, folder: Path | None = None) -> int:
    """Enrol and say what came of it; 0, or 1 with one line on standard error."""
    try:
        done = enroll(token, config, folder)
    except EnrollError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(
        _("This is station {station} now; its key lies in {folder}.").format(station=done.station, folder=done.folder)
    )
    print(_("{config} says so; broker: {broker}").format(config=done.config, broker=done.broker))
    return 0


def enroll(text: str, config: Path, folder: Path | None = None) -> Enrolled:
    """Make this machine the station that the token is for. Raises EnrollError.

    folder: where key and certificate go; None is `identity` in state_dir, else beside the config. Everything that can
    fail here is tried before the token is used up.
    """
    try:
        token = read_token(text)
    except TokenError as exc:
        raise EnrollError(_("the token {problem}").format(problem=exc)) from exc
    try:
        yaml = config.read_text("utf-8") if config.exists() else starter()
        identity = Identity(folder or _folder_for(config, yaml))
        identity.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config.parent.mkdir(parents=True, exist_ok=True)
        for place in (identity.folder, config.parent):
            tempfile.TemporaryFile(dir=place).close()
        key = new_key()
        answer = _request(token, key)
        save(identity, answer, key=key, host=token.host, port=token.port)
        _write_config(config, yaml, identity, answer)
        _give_away(identity.folder)
    except ImportError as exc:
        raise EnrollError(_("cryptography is missing: pip install cryptography")) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise EnrollError(str(exc)) from exc
    return Enrolled(answer.station, f"{answer.broker_host}:{answer.broker_port}", identity.folder, config)


def starter() -> str:
    """An agent's YAML to start from, in the reader's language; "" where the configs are not installed."""
    try:
        return (data_dir("configs") / user_language() / "agent.yaml").read_text("utf-8")
    except FileNotFoundError:
        return ""


def _request(token: Token, key: bytes) -> Answer:
    """Ask for the certificate. The secret goes only to who has the certificate that the token means."""
    open_to_all = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    open_to_all.check_hostname, open_to_all.verify_mode = False, ssl.CERT_NONE  # the fingerprint below decides
    ca = str(ask(token.host, token.port, open_to_all, "/v1/ca").get("ca", ""))
    try:
        trusted = token.trusts(ssl.PEM_cert_to_DER_cert(ca.strip()))
    except ValueError:
        trusted = False
    if not trusted:
        raise EnrollError(
            _("{host}:{port} is not the server that this token is from: nothing was sent").format(
                host=token.host, port=token.port
            )
        )
    with tempfile.TemporaryDirectory(prefix="tigrillo-") as folder:
        file = Path(folder, "ca.pem")
        file.write_text(ca)
        # the token's authority signs no other server's certificate, so its name need not be this host's
        context = secured(Tls(file, check_host=False))
    secret = base64.b32encode(token.secret).decode()
    request = {"token": secret, "csr": signing_request(key)}
    return read_answer(ask(token.host, token.port, context, "/v1/enroll", request))


def _folder_for(config: Path, yaml: str) -> Path:
    return config.absolute().parent / Path(state_dir_of(yaml)).expanduser() / "identity"


def _write_config(config: Path, yaml: str, identity: Identity, answer: Answer) -> None:
    base = config.absolute().parent
    files = {
        "ca": _short(identity.ca, base),
        "cert": _short(identity.cert, base),
        "key": _short(identity.key, base),
    }
    text = with_station(yaml, answer.station, host=answer.broker_host, port=answer.broker_port, files=files)
    write_atomically(config, text.encode(), mode=(config.stat().st_mode & 0o777) if config.exists() else 0o644)


def _short(path: Path, base: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _give_away(folder: Path) -> None:
    """What `sudo` makes in the service's folder belongs to the service."""
    above = folder.parent.stat()
    if os.geteuid() == 0 and above.st_uid != 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, above.st_uid, above.st_gid)


if __name__ == "__main__":
    sys.exit(main())
