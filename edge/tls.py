"""TLS as `Link` and enrolment need it: a context from three files, faults in words, and why a broker hung up.

Standard library only: a Raspberry Pi imports this.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORD_BYTES = 16_384  # what one TLS record holds; OpenSSL writes one a call
NO_CHECK_TIME = 0x20_0000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; Python's module has no name for it

# What we find wrong with the other side's certificate: X509_V_ERR_* of OpenSSL's x509_vfy.h.
THEIRS = {
    9: "its certificate is not valid yet: is a clock wrong?",
    10: "its certificate has expired",
    18: "its certificate is not from our CA",
    19: "its certificate is not from our CA",
    20: "its certificate is not from our CA",
    21: "its certificate is not from our CA",
    23: "its certificate is revoked",
    26: "its certificate is not one for a server",
    62: "its certificate is not for this host name",
    64: "its certificate is not for this address",
}
# What the other side says of ours (RFC 8446, section 6.2), as OpenSSL names it.
OURS = {
    "CERTIFICATE_EXPIRED": "our certificate has expired, or a clock is wrong",
    "CERTIFICATE_REVOKED": "our certificate is revoked",
    "UNKNOWN_CA": "our certificate is not from its CA",
    "CERTIFICATE_REQUIRED": "it wants a certificate and we have none",
    "BAD_CERTIFICATE": "our certificate is damaged or not valid",
    "CERTIFICATE_UNKNOWN": "our certificate is not accepted",
    "UNSUPPORTED_CERTIFICATE": "our certificate is not one for a client",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of an encrypted connection, PEM. ca_file: the only authority that is believed.

    cert_file, key_file: who we are; None shows no certificate. check_host: the other side's certificate must name the
    host we asked for. check_time: it must be valid now; off, because a trap without a clock battery is years off
    now and then and must still find its server, and `ca_file` is the site's own: nobody else's certificate passes.
    """

    ca_file: Path
    cert_file: Path | None = None
    key_file: Path | None = None
    check_host: bool = True
    check_time: bool = False


class TlsContext(ssl.SSLContext):
    """A context that remembers why the other side refused us.

    With TLS 1.3 that comes after the handshake, with the first bytes read, where paho drops it.
    """

    fault: ssl.SSLError | None = None


class TlsSocket(ssl.SSLSocket):
    """An encrypted socket of a TlsContext."""

    def do_handshake(self, block: bool = False) -> None:
        """As the base does; a handshake that fails leaves no open socket."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As the base does."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as exc:
            if isinstance(self.context, TlsContext):
                self.context.fault = exc
            raise

    def send(self, data: Any, flags: int = 0) -> int:
        """Send as many records as the network takes, not one; returns the bytes sent."""
        view, sent = memoryview(data), 0
        try:
            while sent < len(view):
                sent += super().send(view[sent : sent + RECORD_BYTES], flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not sent:
                raise
        except OSError:
            self._hear_reason()
            raise
        return sent

    def _hear_reason(self) -> None:
        """Read the alert that came before the reset, if there is one."""
        try:
            self.recv(1)
        except OSError:
            return


def open_context(tls: Tls) -> TlsContext:
    """A client's context for these files, TLS 1.2 or newer. Raises ssl.SSLError or OSError, naming the file."""
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    context.check_hostname = tls.check_host
    if not tls.check_time:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)
    try:
        context.load_verify_locations(tls.ca_file)
    except OSError as exc:
        raise _named(exc, tls.ca_file) from exc
    if tls.cert_file is not None:
        try:
            context.load_cert_chain(
                tls.cert_file, tls.key_file, password=""
            )  # "": a key with one must not ask a terminal
        except OSError as exc:
            raise _named(exc, tls.cert_file, tls.key_file) from exc
    return context


def why(exc: ssl.SSLError) -> str:
    """A TLS fault in words: what is wrong with whose certificate."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return THEIRS.get(exc.verify_code, f"its certificate is refused: {exc.verify_message}")
    name = str(exc.reason or "")
    for alert, words in OURS.items():
        if name.endswith(f"ALERT_{alert}"):
            return words
    return f"TLS: {name.replace('_', ' ').lower() or exc.strerror or exc}"


def _named(exc: OSError, *files: Path | None) -> OSError:
    """The same error with its files: Python's says of neither which one it was."""
    names = ", ".join(str(file) for file in files if file is not None)
    reason = exc.reason.replace("_", " ").lower() if isinstance(exc, ssl.SSLError) and exc.reason else exc.strerror
    return OSError(exc.errno, f"certificate or key can't be read ({reason or exc}):", names)
