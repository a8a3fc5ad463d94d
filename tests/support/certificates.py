"""A private CA and certificates that it signs, as PEM files."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)
# The modes that `kopuro admin doctor` requires, and that an operator gives such files.
_PUBLIC: Final = 0o644
_PRIVATE: Final = 0o600


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A certificate (0644) and its private key (0600), in PEM."""

    certificate: Path
    key: Path


class PrivateCa:
    """Signs certificates into one directory. `file`: the CA's own certificate."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        certificate = (
            _builder(self._name, self._name, self._key, now - DAY, now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / f"{name}.pem"
        _write(self.file, certificate.public_bytes(serialization.Encoding.PEM), mode=_PUBLIC)

    def issue(self, name: str, *, host: str = "127.0.0.1", days: float = 30) -> Issued:
        """Sign a certificate for a host name or an address. days: of validity left; negative: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = dt.datetime.now(dt.UTC) + days * DAY
        try:
            names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            names = x509.DNSName(host)
        certificate = (
            _builder(_name(name), self._name, key, until - 60 * DAY, until)
            .add_extension(x509.SubjectAlternativeName([names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(certificate=self._directory / f"{name}.crt", key=self._directory / f"{name}.key")
        _write(issued.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=_PUBLIC)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write(issued.key, private, mode=_PRIVATE)
        return issued


def _write(file: Path, content: bytes, *, mode: int) -> None:
    """Replace a file. Its mode is the given one, whatever the umask."""
    file.unlink(missing_ok=True)
    file.touch(mode=mode)
    file.chmod(mode)
    file.write_bytes(content)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    since: dt.datetime,
    until: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
