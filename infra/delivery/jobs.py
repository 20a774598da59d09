"""The two Jobs of a release's walk: smoke before it may have traffic, analysis once it has.

Both are awaited by `pulumi up` and fail it. Their names are drawn, so that a new one is made before the old one goes;
what they vouch for stands in their pod's annotations, so that it changing makes a new one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import ConfigMap, PodSpecArgs, PodTemplateSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.backing.pods import Resources, config_volume, container, mount, pod_spec, scratch, secret_volume
from infra.backing.rights import allow
from infra.backing.workloads import Identity, config
from infra.delivery.rights import MAY_TAKE_BACK
from infra.names import ANALYSIS, API_KEY_FIELD, LIVE_SERVICE, SLOT_HASH_ANNOTATION, SMOKE, Slot, slot_name
from infra.release import Evidence
from ml.delivery.promise import CHAMPION_SERVING, Promise

RELEASE_MOUNT: Final = "/release"
KEY_MOUNT: Final = "/run/secrets/model"
SMOKE_S: Final = 120
SPARE_S: Final = 120
"""What an analysis may take besides watching: its image and its start."""


@dataclass(frozen=True, kw_only=True)
class JobArgs:
    """What both Jobs need."""

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    """`images/worker`, by digest."""
    service_account: pulumi.Input[str]
    key_secret: pulumi.Input[str]
    slot: Slot
    """Of the release that is asked about."""
    slot_hash: pulumi.Input[str]
    """Of what that slot runs: model, image and configuration."""
    evidence: Evidence
    after: Sequence[pulumi.Resource]
    """The Job starts once these are there."""
    resources: Resources = field(
        default_factory=lambda: Resources(
            cpu_request="100m", memory_request="128Mi", cpu_limit="1", memory_limit="384Mi"
        ),
    )


@dataclass(frozen=True, kw_only=True)
class AnalysisArgs(JobArgs):
    """What the analysis needs besides."""

    stack: str
    namespace_name: str
    back: Slot | None
    """Where the traffic goes back to."""
    champion: Evidence | None
    """Of the release there."""
    prometheus_url: pulumi.Input[str]
    promise: Promise
    passed: Sequence[pulumi.ResourceHook] = ()
    """Run once it has passed."""


class Smoke(pulumi.ComponentResource):
    """A Job that calls one slot as clients will."""

    def __init__(self, name: str, args: JobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:delivery:Smoke", name, None, opts)
        of = Identity(name=SMOKE, component="delivery", namespace=args.namespace, parent=self)
        words = ["smoke", f"--url=http://{slot_name(args.slot)}"]
        _job(of, args, words, SMOKE_S, token=False)
        self.register_outputs({})


class Analysis(pulumi.ComponentResource):
    """A Job that watches the release which got the traffic, and takes it back on a breach."""

    def __init__(self, name: str, args: AnalysisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:delivery:Analysis", name, None, opts)
        of = Identity(name=ANALYSIS, component="delivery", namespace=args.namespace, parent=self)
        words: list[pulumi.Input[str]] = [
            "analysis",
            f"--url=http://{LIVE_SERVICE}",
            f"--stack={args.stack}",
            f"--namespace={args.namespace_name}",
            f"--slot={args.slot}",
            pulumi.Output.format("--prometheus={0}", args.prometheus_url),
            f"--promise={json.dumps(asdict(args.promise), sort_keys=True)}",
            *([] if args.back is None else [f"--back={args.back}"]),
            *([] if args.champion is None else [f"--champion={args.champion.release}"]),
        ]
        rights = allow(of, args.service_account, MAY_TAKE_BACK)
        args = replace(args, after=[*args.after, rights])
        more = {} if args.champion is None else {CHAMPION_SERVING: args.champion.serving}
        hooks = pulumi.ResourceHookBinding(after_create=list(args.passed)) if args.passed else None
        _job(of, args, words, args.promise.seconds + SPARE_S, token=True, more=more, hooks=hooks)
        self.register_outputs({})


def _job(  # noqa: PLR0913  (what the two Jobs differ in)
    of: Identity,
    args: JobArgs,
    words: Sequence[pulumi.Input[str]],
    deadline_s: int,
    *,
    token: bool,
    more: Mapping[str, str] | None = None,
    hooks: pulumi.ResourceHookBinding | None = None,
) -> Job:
    files = {"record.json": args.evidence.record, "serving.json": args.evidence.serving, **(more or {})}
    release = config(of, args.slot, files)
    return Job(
        f"{of.name}-{args.slot}",
        metadata=of.metadata(
            name="",
            annotations={
                "pulumi.com/timeoutSeconds": str(deadline_s + 30),
                # The same `pulumi up` again asks again, instead of repeating an old answer.
                "pulumi.com/replaceUnready": "true",
            },
        ),
        spec=JobSpecArgs(
            # A verdict does not change by asking again. No podFailurePolicy: the provider would wait on for ever.
            backoff_limit=0,
            active_deadline_seconds=deadline_s,
            template=PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(labels=of.labels, annotations=_vouched(args)),
                spec=_pod(of, args, words, release, token=token),
            ),
        ),
        opts=pulumi.ResourceOptions(parent=of.parent, depends_on=list(args.after), hooks=hooks),
    )


def _vouched(args: JobArgs) -> dict[str, pulumi.Input[str]]:
    return {**args.evidence.pod_annotations, SLOT_HASH_ANNOTATION: args.slot_hash}


def _pod(
    of: Identity, args: JobArgs, words: Sequence[pulumi.Input[str]], release: ConfigMap, *, token: bool
) -> PodSpecArgs:
    one = container(
        of.name,
        image=args.image,
        resources=args.resources,
        command=["python3", "-m", "ml.delivery"],
        args=[*words, f"--release-dir={RELEASE_MOUNT}", f"--key-file={KEY_MOUNT}/{API_KEY_FIELD}"],
        mounts=[
            mount("release", RELEASE_MOUNT),
            mount("key", KEY_MOUNT),
            mount("tmp", "/tmp", read_only=False),  # noqa: S108  (a volume of its own)
        ],
    )
    return pod_spec(
        service_account=args.service_account,
        restart_policy="Never",
        containers=[one],
        volumes=[
            config_volume("release", release.metadata.name),
            secret_volume("key", args.key_secret),
            scratch("tmp"),
        ],
        token=token,
    )
