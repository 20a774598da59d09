"""What batch prediction adds to the whole program."""

import pytest

from tests.infra.checkout import CHECKOUT
from tests.infra.test_program import slots

pytestmark = pytest.mark.integration  # the whole program, with a build context of hundreds of files


def test_a_batch_run_brings_the_training_image_a_volume_and_its_job_after_the_analysis(program, checkout):
    checkout.release("flights-0001")
    for name in ("pyproject.toml", "requirements.txt", "toolchain"):
        (checkout.root / name).symlink_to(CHECKOUT / name)
    batch = '{"run": "june", "input": "june.parquet", "size": "1Gi"}'
    done = program(config={"slots": slots(blue="flights-0001"), "batch": batch})

    job = done.one("Job", "batch-june")
    pod = job.inputs["spec"]["template"]["spec"]
    (copies,), (predicts,) = pod["initContainers"], pod["containers"]
    assert copies["image"] == done.exports["slots"]["blue"]["image"]
    assert "ml-pipeline/training@sha256:" in predicts["image"]
    assert (
        pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == done.one("PersistentVolumeClaim", "batch").k8s_name
    )
    (analysis,) = [one.urn for one in done.of("Job") if one.k8s_name.startswith("analysis")]
    assert analysis in job.depends_on
