from toolchain import trust


def _pem(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"


def test_only_authorities_that_debian_does_not_ship_are_extra() -> None:
    bundle = "\n".join([_pem("mozilla"), _pem("company"), _pem("proxy")])

    assert trust.beyond(bundle, [_pem("mozilla"), "no certificate"]) == [_pem("company"), _pem("proxy")]


def test_a_certificate_folded_otherwise_is_the_same() -> None:
    assert trust.beyond(_pem("AB\nCD"), [_pem("ABCD")]) == []
