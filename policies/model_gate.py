"""A slot runs only a release whose record verifies, is signed by a trusted key, and whose verdict is pass.

The evidence is an input of the Deployment itself, known in the preview: the whole record and its signature, as
annotations. The keys come from the checkout that the pack belongs to, never from the resource that is judged. What the
pods say about themselves (release, digests, MODEL_VERSION) must be what the record says. Asked of whatever makes pods
that the model's Services would select, so that another kind of object is no way around it.
"""

from pathlib import Path
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)

from infra.names import (
    MODEL,
    MODEL_SHA256_ANNOTATION,
    NAME_LABEL,
    RECORD_ANNOTATION,
    RECORD_DIGEST_ANNOTATION,
    RELEASE_LABEL,
    SIGNATURE_ANNOTATION,
    SLOT_LABEL,
    SLOTS,
    slot_name,
)
from ml.release import keys, signature
from ml.release.proof import problems
from ml.release.record import Problem, parse
from policies.reading import UNKNOWN, PodObject, containers, dig, pods

CHECKOUT: Final = Path(__file__).resolve().parent.parent


def violations(resource_type: str, props: Any) -> list[str]:
    """Why a resource must not run a model; empty when it may, or runs none."""
    found: list[str] = []
    for pod in pods(resource_type, props):
        reason = _unreadable(pod)
        if reason is not None:
            found.append(reason)
        elif _runs_the_model(pod):
            found += _judge(pod)
    return found


def _labels(pod: PodObject) -> dict[str, Any]:
    return {
        "metadata.labels": dig(pod.metadata, "labels"),
        f"{pod.where}metadata.labels": dig(pod.pod_metadata, "labels"),
    }


def _unreadable(pod: PodObject) -> str | None:
    """Labels decide whether this is a slot, so they must be known."""
    for where, found in _labels(pod).items():
        for key in (NAME_LABEL, SLOT_LABEL):
            if dig(found, key) is UNKNOWN:
                return f"{where}[{key!r}]: got {UNKNOWN!r}; must be known, to tell whether these pods serve a model"
    if dig(pod.metadata, "name") is UNKNOWN and pod.kind.patch:
        return f"metadata.name: got {UNKNOWN!r}; must be known, to tell whether this patches a slot"
    return None


def _runs_the_model(pod: PodObject) -> bool:
    labels = _labels(pod).values()
    return (
        any(dig(found, NAME_LABEL) == MODEL for found in labels)
        or any(dig(found, SLOT_LABEL) is not None for found in labels)
        or dig(pod.metadata, "name") in [slot_name(slot) for slot in SLOTS]
    )


def _judge(pod: PodObject) -> list[str]:
    if pod.kind.kind != "Deployment":
        return [f"{pod.kind.kind}: pods of a slot come from its Deployment and nothing else"]
    raw = dig(pod.metadata, "annotations", RECORD_ANNOTATION)
    if not isinstance(raw, str):
        where = f"metadata.annotations[{RECORD_ANNOTATION!r}]"
        return [f"{where}: got {raw!r}; must be the text of a release record", *_identity(pod, None)]
    refused = [f"release record: {problem}" for problem in _problems(pod, raw.encode("utf-8", "surrogatepass"))]
    if refused:
        return [*refused, *_identity(pod, None)]
    record = parse(raw.encode())
    return [*_identity(pod, record["release"]), *_agreement(pod, record)]


def _problems(pod: PodObject, raw: bytes) -> list[Problem]:
    signed = dig(pod.metadata, "annotations", SIGNATURE_ANNOTATION)
    envelope = signed.encode("utf-8", "surrogatepass") if isinstance(signed, str) else None
    return [*problems(raw), *signature.problems(envelope, raw, keys.trusted(CHECKOUT))]


def _identity(pod: PodObject, release: str | None) -> list[str]:
    """Name, slot and release must be the same wherever they stand."""
    found = []
    slot = dig(pod.pod_metadata, "labels", SLOT_LABEL)
    if slot not in SLOTS:
        return [f"{pod.where}metadata.labels[{SLOT_LABEL!r}]: got {slot!r}; must be one of {', '.join(SLOTS)}"]
    wanted = {
        "metadata.name": (dig(pod.metadata, "name"), slot_name(slot)),
        f"metadata.labels[{SLOT_LABEL!r}]": (dig(pod.metadata, "labels", SLOT_LABEL), slot),
        f"{pod.where}metadata.labels[{NAME_LABEL!r}]": (dig(pod.pod_metadata, "labels", NAME_LABEL), MODEL),
        f"spec.selector.matchLabels[{SLOT_LABEL!r}]": (
            dig(pod.spec, "selector", "matchLabels", SLOT_LABEL),
            slot,
        ),
    }
    if release is not None:
        for where, labels in _labels(pod).items():
            wanted[f"{where}[{RELEASE_LABEL!r}]"] = (dig(labels, RELEASE_LABEL), release)
    found += [f"{where}: got {got!r}; must be {must!r}" for where, (got, must) in wanted.items() if got != must]
    return found


def _agreement(pod: PodObject, record: Any) -> list[str]:
    """Digests and MODEL_VERSION must be the record's."""
    found = []
    for where, metadata in (("metadata", pod.metadata), (f"{pod.where}metadata", pod.pod_metadata)):
        for key, must in (
            (RECORD_DIGEST_ANNOTATION, record["digest"]),
            (MODEL_SHA256_ANNOTATION, record["files"]["model.onnx"]),
        ):
            got = dig(metadata, "annotations", key)
            if got != must:
                found.append(f"{where}.annotations[{key!r}]: got {got!r}; must be {must!r}, as the record says")
    each, wrong = containers(pod)
    versions: list[tuple[str, Any]] = []
    for container in each:
        env = dig(container.value, "env")
        if env is not None and not isinstance(env, list):
            found.append(f"{container.where}.env: got {env!r}; must be a list")
            continue
        versions += [
            (f"{container.where}.env MODEL_VERSION", dig(variable, "value"))
            for variable in env or []
            if dig(variable, "name") in ("MODEL_VERSION", UNKNOWN)
        ]
    must = record["release"]
    if not versions:
        found.append(f"{pod.where}spec.containers: none has MODEL_VERSION; must be {must!r}")
    found += [f"{where}: got {got!r}; must be {must!r}" for where, got in versions if got != must]
    return [*found, *wrong]


def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report everything that speaks against running this model."""
    for message in violations(args.resource_type, args.props):
        report(message, None)


POLICY: Final = ResourceValidationPolicy(
    name="model-gate",
    description="A slot runs only a release whose record verifies, is signed by a trusted key, and passed.",
    validate=check,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.CRITICAL,
    remediation_steps="mlp release verify RELEASE says what is wrong; a release that failed needs a better model.",
    url="docs/policies.md#model-gate",
)
