"""Passwords and keys: drawn once, kept, secret, and the two halves of the API key agree."""

import base64
import hashlib

from infra.credentials import Credentials, CredentialsArgs

STORED = base64.b64encode(b"the key that the first run stored").decode()


def build():
    Credentials("credentials", CredentialsArgs(namespace="ml-x"))


def values(done, name):
    return {key: base64.b64decode(value).decode() for key, value in done.one("Secret", name).inputs["data"].items()}


def test_there_are_five_secrets_with_the_keys_that_others_read(deploy):
    done = deploy(build)

    assert {s.k8s_name: set(s.inputs["data"]) for s in done.of("Secret")} == {
        "postgres-auth": {"password"},
        "training-auth": {"password"},
        "mlflow-auth": {"username", "password", "flask-secret-key"},
        "model-api-key": {"key"},
        "model-api-key-hashes": {"keys"},
    }


def test_every_value_is_secret_in_the_state(deploy):
    assert all("data" in secret.secrets for secret in deploy(build).of("Secret"))


def test_no_two_runs_draw_the_same_and_what_was_stored_stays(deploy):
    first, second = deploy(build), deploy(build)

    for name in ("postgres-auth", "training-auth", "mlflow-auth", "model-api-key"):
        assert values(first, name) != values(second, name)
        assert first.one("Secret", name).ignore_changes == ("data",)


def test_passwords_are_long_and_differ_from_each_other(deploy):
    done = deploy(build)

    drawn = [values(done, "postgres-auth")["password"], values(done, "mlflow-auth")["password"]]
    drawn += [values(done, "mlflow-auth")["flask-secret-key"], values(done, "model-api-key")["key"]]
    assert len(set(drawn)) == 4
    assert all(len(one) >= 40 for one in drawn)


def test_the_hash_is_of_the_stored_key_not_of_the_one_just_drawn(deploy):
    done = deploy(build, outputs={"model-api-key": {"data": {"key": STORED}}})

    expected = hashlib.sha256(b"the key that the first run stored").hexdigest()
    assert values(done, "model-api-key-hashes") == {"keys": f"{expected}\n"}
    assert done.one("Secret", "model-api-key-hashes").ignore_changes == ()
