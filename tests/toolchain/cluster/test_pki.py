import datetime as dt
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolchain.cluster import pki
from toolchain.cluster.layout import Layout

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """What a first run makes; only read it."""
    layout = Layout(root=tmp_path_factory.mktemp("pki"))
    pki.ensure(layout, NOW)
    return layout


@pytest.fixture
def layout(issued: Layout, tmp_path: Path) -> Layout:
    """A copy to spoil."""
    return Layout(root=shutil.copytree(issued.root, tmp_path / "cluster"))


def load(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(layout.certificate(name).read_bytes())


def contents(layout: Layout) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in layout.pki.iterdir()}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name.partition(".")[0] for name in before | after if before.get(name) != after.get(name)}


def test_only_the_owner_reads_keys(issued: Layout) -> None:
    assert stat.S_IMODE(issued.pki.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in issued.pki.iterdir()} == {0o600}


def test_a_second_run_changes_nothing(layout: Layout) -> None:
    before = contents(layout)

    pki.ensure(layout, NOW + dt.timedelta(days=200))

    assert contents(layout) == before


def test_certificates_about_to_expire_are_reissued_and_authorities_stay(layout: Layout) -> None:
    before = contents(layout)

    pki.ensure(layout, NOW + pki.LEAF_LIFE - pki.RENEW_BEFORE + dt.timedelta(seconds=1))

    assert changed(before, contents(layout)) == set(pki.IDENTITIES)


@pytest.mark.parametrize("damage", ["missing", "empty", "another's key"])
def test_a_damaged_key_is_replaced_alone(layout: Layout, damage: str) -> None:
    before = contents(layout)
    key = layout.key("kubelet")
    match damage:
        case "missing":
            key.unlink()
        case "empty":
            key.write_bytes(b"")
        case _:
            key.write_bytes(layout.key("admin").read_bytes())

    pki.ensure(layout, NOW)

    assert changed(before, contents(layout)) == {"kubelet"}


def test_a_lost_authority_takes_its_certificates_along(layout: Layout) -> None:
    before = contents(layout)
    layout.key("front-proxy-ca").unlink()

    pki.ensure(layout, NOW)

    assert changed(before, contents(layout)) == {"front-proxy-ca", "front-proxy"}


def test_a_certificate_with_other_hosts_is_reissued(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(layout)
    other = pki.Identity(user="kube-apiserver", hosts=("127.0.0.1",))
    monkeypatch.setattr(pki, "IDENTITIES", {**pki.IDENTITIES, "apiserver": other})

    pki.ensure(layout, NOW)

    assert changed(before, contents(layout)) == {"apiserver"}


def test_only_the_operator_is_master() -> None:
    masters = {name for name, identity in pki.IDENTITIES.items() if "system:masters" in identity.groups}

    assert masters == {"admin"}


@pytest.mark.parametrize("name", [name for name in pki.IDENTITIES if name != "etcd"])
def test_a_servers_certificate_is_no_login_and_a_login_is_no_server(issued: Layout, name: str) -> None:
    usages = list(load(issued, name).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)

    serves = bool(pki.IDENTITIES[name].hosts)
    assert usages == [ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_kubelet_is_who_the_node_authorizer_expects(issued: Layout) -> None:
    subject = load(issued, "kubelet").subject

    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:ml-pipeline"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"
