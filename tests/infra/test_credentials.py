"""Passwords and keys: drawn once, kept, secret, and the two halves of the API key agree."""

import base64
import hashlib

from infra.credentials import Credentials, CredentialsArgs


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

    for name in ("postgres-auth", "training-auth", "mlflow-auth", "model-api-key", "model-api-key-hashes"):
        assert values(first, name) != values(second, name)
        assert first.one("Secret", name).ignore_changes == ("data",)


def test_passwords_are_long_and_differ_from_each_other(deploy):
    done = deploy(build)

    drawn = [values(done, "postgres-auth")["password"], values(done, "mlflow-auth")["password"]]
    drawn += [values(done, "mlflow-auth")["flask-secret-key"], values(done, "model-api-key")["key"]]
    assert len(set(drawn)) == 4
    assert all(len(one) >= 40 for one in drawn)


def test_the_hash_is_of_the_stored_key_not_of_the_one_just_drawn(deploy):
    done = deploy(build, outputs={"model-api-key": {"data": {"key": encoded("the key that the first run stored")}}})

    assert values(done, "model-api-key-hashes") == {"keys": line("the key that the first run stored")}


def test_hashes_that_are_made_anew_during_a_rotation_are_of_every_key_that_somebody_may_hold(deploy):
    held = {"key": encoded("now"), "previous": encoded("before")}
    done = deploy(build, outputs={"model-api-key": {"data": held}})

    assert values(done, "model-api-key-hashes") == {"keys": line("now") + line("before")}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def line(key):
    return f"{hashlib.sha256(key.encode()).hexdigest()}\n"
