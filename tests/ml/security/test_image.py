"""What is asked inside an image, asked of this machine's own Python in the same way."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.security.image import scan_image
from ml.security.result import Answer

IMAGE = f"127.0.0.1:5000/ml-pipeline/serving@sha256:{'a' * 64}"


def test_packages_that_the_image_has_on_its_python_path_are_seen(tmp_path: Path) -> None:
    known = tmp_path / "opt/python/seen-1.0.dist-info"
    known.mkdir(parents=True)
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: seen\nVersion: 1.0\n")
    (tmp_path / "lock.txt").write_text("seen==1.0\n")

    def run(command: Sequence[str], limit_s: float) -> Answer:
        inside = command[command.index(IMAGE) + 1 :]
        environment = {**os.environ, "PYTHONPATH": str(known.parent)}
        done = subprocess.run(
            [sys.executable, *inside], env=environment, capture_output=True, text=True, check=True, timeout=limit_s
        )
        return Answer(exit_code=0, stdout=done.stdout)

    scans = scan_image(tmp_path, IMAGE, Path("lock.txt"), run)

    assert "seen 1.0: in the lock file, not in the image" not in scans["image-python"].findings
    kept = json.loads((tmp_path / ".build/scans" / f"{'a' * 64}.json").read_text())
    assert ["seen", "1.0", str(known.parent)] in kept["packages"]["python"]
