"""TLS to the broker and the databases: the files that settings name, and what went wrong in a handshake.

A server's certificate is always verified, by its chain and by the host name in the address. Certificate files
are read for each connection, so that a renewed one is used without a restart.
Source: RFC 8446 (TLS 1.3); RFC 6125 (host names in certificates).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# The servers, as their variables name them.
BROKER: Final = "BROKER"
DATABASE: Final = "DATABASE"

# OpenSSL's X509_V_ERR_ numbers. Every other number means that no trusted CA vouches for the certificate.
_VERIFICATION_FAULTS: Final[Mapping[int, str]] = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
_UNTRUSTED: Final = "its certificate is not signed by a CA that this process trusts"
_ALERTS: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "it does not speak TLS on this port",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refused the handshake, perhaps for lack of a client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the CA of our client certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our client certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refused our client certificate",
}
_ENDED: Final = "it ended the connection, perhaps because it requires a client certificate"
_BROKEN_OFF: Final = (ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsFiles:
    """PEM files for connections to one server."""

    # The certificates of the CAs that may sign the server's certificate; None: those of the system.
    ca: Path | None = None
    # Our certificate (with its chain) and its unencrypted private key; None: no client certificate.
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context that verifies chain and host name. Raises OSError for unusable files."""
        context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        # Python 3.13 sets it. The broker's and the database's clients do not, and many private CAs leave out
        # the identifiers of keys that it requires.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._load_certificate(context)
        return context

    def check_certificate(self) -> None:
        """Raise OSError or ValueError if our certificate or its key is unusable.

        Reads no CAs: those of the system take 25 ms of CPU time.
        """
        self._load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        if self.certificate is not None:
            # An empty password: OpenSSL would otherwise ask for one on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")

    def amqp_options(self, host: str) -> dict[str, Any]:
        """Return py-amqp's `ssl` options for the host."""
        options: dict[str, Any] = {"server_hostname": host, "cert_reqs": ssl.CERT_REQUIRED}
        for name, file in (("ca_certs", self.ca), ("certfile", self.certificate), ("keyfile", self.key)):
            if file is not None:
                options[name] = str(file)
        return options

    def libpq_options(self) -> dict[str, str]:
        """Return libpq's parameters: TLS with a verified host name. `system` needs libpq 16."""
        options = {"sslmode": "verify-full", "sslrootcert": "system" if self.ca is None else str(self.ca)}
        if self.certificate is not None:
            options |= {"sslcert": str(self.certificate), "sslkey": str(self.key)}
        return options


class UnusableTlsFiles(ValueError):
    """Raised when variables name unusable files; `problems` has a line for each, without file contents."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def variables(server: str) -> dict[str, str]:
    """Return the environment variables with the files for TLS to a server: BROKER or DATABASE."""
    return {file: f"KOPURO_{server}_{file}" for file in ("CA", "CERTIFICATE", "CERTIFICATE_KEY")}


def tls_files(server: str, environ: Mapping[str, str]) -> TlsFiles | None:
    """Read the variables in `variables(server)`; None when none is set. Raises UnusableTlsFiles."""
    names = variables(server)
    texts = {field: environ.get(name, "").strip() for field, name in names.items()}
    if not any(texts.values()):
        return None
    problems = [
        f"{names[field]} does not name a file"
        for field, text in texts.items()
        if text and not Path(text).is_file()
    ]
    for one, other in (("CERTIFICATE", "CERTIFICATE_KEY"), ("CERTIFICATE_KEY", "CERTIFICATE")):
        if texts[one] and not texts[other]:
            problems.append(f"{names[one]} is set, but {names[other]} is not")
    if problems:
        raise UnusableTlsFiles(problems)
    ca, certificate, key = (Path(text) if text else None for text in texts.values())
    files = TlsFiles(ca=ca, certificate=certificate, key=key)
    if ca is not None:
        try:
            TlsFiles(ca=ca).context()
        except OSError:
            problems.append(f"{names['CA']} does not name a file with certificates in PEM")
    if certificate is not None:
        try:
            files.check_certificate()
        except (OSError, ValueError):
            problems.append(
                f"{names['CERTIFICATE']} and {names['CERTIFICATE_KEY']} do not name a certificate in PEM "
                "and its unencrypted private key"
            )
    if problems:
        raise UnusableTlsFiles(problems)
    return files


def handshake_fault(error: BaseException, *, over_tls: bool = False) -> str | None:
    """Return what went wrong with TLS, as a clause about the server; None if the error is not about TLS.

    over_tls: whether the connection was one with TLS. In TLS 1.3 a server refuses our certificate after the
    handshake; if it closes the connection then, its alert may be lost, and a broken connection is all we see.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFICATION_FAULTS.get(error.verify_code, _UNTRUSTED)
    if isinstance(error, ssl.SSLEOFError) or (over_tls and isinstance(error, _BROKEN_OFF)):
        return _ENDED
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return _ALERTS.get(reason, f"the TLS handshake failed ({reason or type(error).__name__})")
    return None
