"""The program of one stack: settings and evidence, then components, then what the stack tells the outside.

Whatever can be refused is refused first, before any resource is registered.
"""

import pulumi

from infra.delivery.capacity import put_back_earlier
from infra.delivery.contexts import prepare
from infra.delivery.image import Images, ImagesArgs
from infra.delivery.image_gate import refuse_unproven_images
from infra.delivery.model import Model, ModelArgs
from infra.foundation import Foundation, FoundationArgs
from infra.provider import on_cluster
from infra.release import load_evidence
from infra.settings import load_cluster, load_settings
from infra.slots import plan
from infra.waivers import accepted_waivers, today
from toolchain.paths import repo_root

settings = load_settings()
cluster = load_cluster(settings)
evidence = load_evidence(repo_root(), settings.slots, settings.live)
waivers = accepted_waivers(repo_root(), evidence, settings, today())
refuse_unproven_images(repo_root(), settings)
contexts = prepare(repo_root(), settings)
put_back_earlier(settings, cluster)

here = on_cluster(cluster)
given = ImagesArgs(registry=settings.registry, tag=settings.stack, contexts=contexts, given=settings.images)
images = Images("images", given)
foundation = Foundation(
    "foundation",
    FoundationArgs(settings=settings, images=images.platform, node_host=cluster.node_host, root=repo_root()),
    here,
)
where = plan(settings.slots, settings.live)
model = None
if where is not None:
    model = Model(
        "model",
        ModelArgs(
            root=repo_root(),
            settings=settings,
            plan=where,
            evidence=evidence,
            images=images,
            cluster=cluster,
            foundation=foundation,
        ),
        here,
    )
    pulumi.export("live", model.live)
    pulumi.export("slots", model.slots)
pulumi.export("acceptedWaivers", waivers)
pulumi.export("namespace", foundation.namespace)
pulumi.export("images", images.platform)
pulumi.export("urls", {**foundation.urls, **(model.urls if model is not None else {})})
