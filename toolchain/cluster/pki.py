"""Keys and certificates: two authorities, one identity a component, nothing shared, every key file 0600.

`ensure` is idempotent: it keeps what is valid and reissues what is missing, about to expire or of another shape.
"""

import datetime as dt
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolchain.cluster.layout import DOMAIN, NODE, NODE_IP, SERVICE_IP, Layout
from toolchain.files import write_private

AUTHORITY_LIFE: Final = dt.timedelta(days=3650)
LEAF_LIFE: Final = dt.timedelta(days=365)
RENEW_BEFORE: Final = dt.timedelta(days=60)
# A clock set back by a resumed virtual machine must not make a new certificate "not yet valid".
BACKDATE: Final = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a certificate speaks for."""

    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    authority: str = "ca"


_API_HOSTS: Final = (
    NODE_IP, SERVICE_IP, "127.0.0.1", "localhost",
    "kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}",
)  # fmt: skip

IDENTITIES: Final[Mapping[str, Identity]] = {
    "etcd": Identity(user="etcd", hosts=("127.0.0.1", "localhost"), authority="etcd-ca"),
    "etcd-client": Identity(user="kube-apiserver", authority="etcd-ca"),
    "apiserver": Identity(user="kube-apiserver", hosts=_API_HOSTS),
    "apiserver-kubelet": Identity(user="kube-apiserver-kubelet-client"),
    "front-proxy": Identity(user="front-proxy-client", authority="front-proxy-ca"),
    "kubelet-server": Identity(user=f"system:node:{NODE}", groups=("system:nodes",), hosts=(NODE_IP, NODE)),
    "metrics-server-server": Identity(
        user="metrics-server", hosts=(NODE_IP, "metrics-server.kube-system.svc", "localhost")
    ),
    "controller-manager-server": Identity(user="kube-controller-manager", hosts=("127.0.0.1",)),
    "scheduler-server": Identity(user="kube-scheduler", hosts=("127.0.0.1",)),
    "admin": Identity(user="ml-pipeline-admin", groups=("system:masters",)),
    "controller-manager": Identity(user="system:kube-controller-manager"),
    "scheduler": Identity(user="system:kube-scheduler"),
    "proxy": Identity(user="system:kube-proxy"),
    "kubelet": Identity(user=f"system:node:{NODE}", groups=("system:nodes",)),
    "coredns": Identity(user="system:coredns"),
    "metrics-server": Identity(user="system:metrics-server"),
    "volumes": Identity(user="ml-pipeline:volumes"),
}
AUTHORITIES: Final = ("ca", "etcd-ca", "front-proxy-ca")
KUBECONFIG_USERS: Final = ("admin", "controller-manager", "scheduler", "proxy", "kubelet", "coredns", "metrics-server")


def ensure(layout: Layout, now: dt.datetime) -> None:
    """Make every authority, certificate and the service account key, keeping those that are still good."""
    layout.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.pki.chmod(0o700)
    for name in AUTHORITIES:
        if not _readable(layout, name):
            _issue_authority(layout, name, now)
    for name, identity in IDENTITIES.items():
        if not _good(layout, name, identity, now):
            _issue(layout, name, identity, now)
    if not layout.key("service-accounts").exists() or not (layout.pki / "service-accounts.pub").exists():
        _issue_service_account_key(layout)


def _load(layout: Layout, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate = x509.load_pem_x509_certificate(layout.certificate(name).read_bytes())
    key = serialization.load_pem_private_key(layout.key(name).read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        message = f"{name}: the key does not belong to the certificate"
        raise ValueError(message)
    return certificate, key


def _readable(layout: Layout, name: str) -> bool:
    try:
        _load(layout, name)
    except (OSError, ValueError):
        return False
    return True


def _good(layout: Layout, name: str, identity: Identity, now: dt.datetime) -> bool:
    try:
        certificate, _ = _load(layout, name)
        authority, _ = _load(layout, identity.authority)
        certificate.verify_directly_issued_by(authority)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    if certificate.subject != _subject(identity) or certificate.not_valid_after_utc - now < RENEW_BEFORE:
        return False
    if not identity.hosts:
        return True
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return list(names) == _alternative_names(identity)


def _subject(identity: Identity) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, identity.user)])


def _alternative_names(identity: Identity) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in identity.hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _issue_authority(layout: Layout, name: str, now: dt.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ml-pipeline-{name}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _store(layout, name, certificate, key)


def _issue(layout: Layout, name: str, identity: Identity, now: dt.datetime) -> None:
    authority, authority_key = _load(layout, identity.authority)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(identity))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_usages(identity)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if identity.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternative_names(identity)), critical=False)
    _store(layout, name, builder.sign(authority_key, hashes.SHA256()), key)


def _usages(identity: Identity) -> list[x509.ObjectIdentifier]:
    usages = [ExtendedKeyUsageOID.SERVER_AUTH if identity.hosts else ExtendedKeyUsageOID.CLIENT_AUTH]
    if identity.hosts and identity.authority == "etcd-ca":
        # etcd's gRPC gateway dials its own serving address with the serving certificate.
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    return usages


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _issue_service_account_key(layout: Layout) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(layout.key("service-accounts"), _pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(layout.pki / "service-accounts.pub", public)


def _store(layout: Layout, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(layout.key(name), _pem(key))
    write_private(layout.certificate(name), certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
