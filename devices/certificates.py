"""Our own authority for certificates: a device that holds one of them connects without a name and a secret.

X.509 by RFC 5280, keys on P-256. The subject's common name is the device's key, which the broker takes as its user name.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from marketplace.kept import kept

YEAR = timedelta(days=365)
OWN_YEARS, ISSUED_YEARS = 20, 10
"""Equipment stays for years, and what is lost is revoked."""
BEFORE = timedelta(days=1)
"""So much earlier it is valid: a device's clock may be behind."""
SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
FILE = "device-authority.pem"
"""In data_dir: the authority's key and certificate."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, both PEM. The key is kept nowhere else."""

    serial: str
    certificate: str
    key: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """Its certificate, which clients check the broker by."""
        return _pem(self.certificate)

    def for_device(self, key: str, *, now: datetime, lasting: timedelta = ISSUED_YEARS * YEAR) -> Issued:
        return self._issue(key, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), None, now, lasting)

    def for_broker(self, names: Sequence[str], *, now: datetime) -> Issued:
        """`names` are the hosts and addresses that devices may reach it by."""
        found = x509.SubjectAlternativeName([_general(name) for name in dict.fromkeys(names)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return self._issue(names[0][:64], usage, found, now, ISSUED_YEARS * YEAR)

    def revocations(self, revoked: Iterable[tuple[str, datetime]], *, now: datetime) -> str:
        """The list of what is no longer valid, PEM, from (serial, since when)."""
        listed = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject).last_update(now - BEFORE)
        listed = listed.next_update(now + OWN_YEARS * YEAR)
        for serial, since in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(since)
            listed = listed.add_revoked_certificate(one.build())
        return listed.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _issue(
        self,
        name: str,
        usage: x509.ExtendedKeyUsage,
        names: x509.SubjectAlternativeName | None,
        now: datetime,
        lasting: timedelta,
    ) -> Issued:
        key, serial = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
        expires_at = (now + lasting).replace(microsecond=0)
        made = _builder(name, key, now, expires_at).issuer_name(self.certificate.subject).serial_number(serial)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(usage, critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        made = made.add_extension(issuer, critical=False)
        made = made.add_extension(names, critical=False) if names else made
        return Issued(f"{serial:x}", _pem(made.sign(self.key, hashes.SHA256())), _key_pem(key), expires_at)


def listed(revocations: str) -> set[str] | None:
    """The serials that such a list names; None where it is none."""
    if not revocations:
        return None
    return {f"{one.serial_number:x}" for one in x509.load_pem_x509_crl(revocations.encode())}


def read_authority(folder: Path, *, now: datetime) -> Authority:
    """The one kept in `folder`, made where there is none. Raises: ValueError (the file holds something else), OSError."""
    text = kept(folder / FILE, lambda: _new_authority(now)).encode()
    key = load_pem_private_key(text, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(FILE)
    return Authority(x509.load_pem_x509_certificate(text), key)


def _new_authority(now: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder("Pilotbench devices", key, now, now + OWN_YEARS * YEAR)
    made = made.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pilotbench devices")]))
    made = made.serial_number(x509.random_serial_number())
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(SIGNS, critical=True)
    return _key_pem(key) + _pem(made.sign(key, hashes.SHA256()))


def _builder(name: str, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return made.not_valid_before(now - BEFORE).not_valid_after(until)


def _general(name: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
