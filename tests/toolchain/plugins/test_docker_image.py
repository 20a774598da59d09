"""Our docker plugin under the real CLI, against an engine that records what it is asked."""

import base64
import inspect
import json
import os

import pulumi_docker
import pytest
from fake_engine import FakeEngine
from project import Project

from toolchain import paths

pytestmark = pytest.mark.integration

PROGRAM = """
import pulumi, pulumi_docker as docker
config = pulumi.Config()
registry = None
if config.get("password"):
    registry = docker.RegistryArgs(server="127.0.0.1:5000", username="u", password=config.require_secret("password"))
# As in the pipeline's own program, the image has a parent: its URN holds a chain of types.
group = pulumi.ComponentResource("test:index:Group", "group")
image = docker.Image(
    "web",
    opts=pulumi.ResourceOptions(parent=group),
    image_name=config.get("name") or "127.0.0.1:5000/ml-pipeline/web:1",
    build=docker.DockerBuildArgs(
        context="app",
        args={"TOKEN": config.require_secret("token")} if config.get("token") else {"LEVEL": config.get("level", "1")},
        network="host",
        target=config.get("target"),
        add_hosts=["db:10.0.0.1"],
        builder_version=docker.BuilderVersion.BUILDER_V1,
    ),
    skip_push=config.get_bool("skipPush"),
    build_on_preview=config.get_bool("buildOnPreview"),
    registry=registry,
)
for name in ("repo_digest", "image_name", "base_image_name", "registry_server", "context", "dockerfile", "platform"):
    pulumi.export(name, getattr(image, name))
"""


@pytest.fixture
def web(project: Project, docker_engine: FakeEngine) -> Project:
    project.write("__main__.py", PROGRAM)
    project.write("app/Dockerfile", "FROM scratch\nARG LEVEL\nCOPY . /\n")
    project.write("app/page.html", "hello")
    project.env["DOCKER_HOST"] = docker_engine.address
    return project


def test_an_image_is_built_pushed_and_known_by_its_digest(web: Project, docker_engine: FakeEngine) -> None:
    said = web.up()

    (build,) = docker_engine.builds
    assert build.parameters["t"] == ["127.0.0.1:5000/ml-pipeline/web:1"]
    assert build.parameters["networkmode"] == ["host"]
    assert build.parameters["extrahosts"] == ["db:10.0.0.1"]
    assert json.loads(build.parameters["buildargs"][0]) == {"LEVEL": "1"}
    assert build.files["page.html"] == b"hello"
    assert len(docker_engine.pushes) == 1
    assert web.output("repo_digest").startswith("127.0.0.1:5000/ml-pipeline/web@sha256:")
    assert web.output("base_image_name") == web.output("image_name") == "127.0.0.1:5000/ml-pipeline/web:1"
    assert web.output("dockerfile") == "Dockerfile"
    assert web.output("context") == "app"
    assert web.output("platform").startswith("linux/")
    for step in ("Step 1/3 : FROM scratch", "Step 2/3 : ARG LEVEL", "Step 3/3 : COPY . /"):
        assert step in said


def test_nothing_is_rebuilt_when_nothing_changed(web: Project, docker_engine: FakeEngine) -> None:
    web.up()
    page = web.root / "app" / "page.html"
    os.utime(page, (1, 1))

    web.succeed("up", "--yes", "--non-interactive", "--expect-no-changes")

    assert len(docker_engine.builds) == 1


def test_each_change_of_the_build_context_rebuilds(web: Project, docker_engine: FakeEngine) -> None:
    app = web.root / "app"
    web.up()
    before = web.output("repo_digest")

    for number, change in enumerate(
        (
            lambda: (app / "page.html").write_text("other"),
            lambda: (app / "page.html").rename(app / "index.html"),
            lambda: (app / "index.html").chmod(0o755),
            lambda: (app / "Dockerfile").write_text("FROM scratch\n"),
        ),
        start=2,
    ):
        change()
        web.up()
        assert len(docker_engine.builds) == number

    assert web.output("repo_digest") != before


def test_preview_shows_that_the_context_changed(web: Project, docker_engine: FakeEngine) -> None:
    web.up()

    web.write("app/page.html", "other")
    said = web.succeed("preview", "--non-interactive", "--diff")

    assert "contextDigest" in said
    assert len(docker_engine.builds) == 1


def test_an_ignored_file_does_not_rebuild_and_is_not_sent(web: Project, docker_engine: FakeEngine) -> None:
    web.write("app/.dockerignore", "*.log\nsecret/**\n")
    web.write("app/a.log", "1")
    web.up()

    web.write("app/a.log", "2")
    web.write("app/secret/key", "k")
    web.succeed("preview", "--expect-no-changes", "--non-interactive")

    assert set(docker_engine.builds[0].files) == {".dockerignore", "Dockerfile", "page.html"}


def test_each_changed_input_rebuilds(web: Project, docker_engine: FakeEngine) -> None:
    web.up()

    for key, value in (("level", "2"), ("target", "last"), ("name", "127.0.0.1:5000/other:1")):
        web.succeed("config", "set", key, value)
        web.up()

    assert len(docker_engine.builds) == 4


def test_preview_builds_nothing_and_leaves_the_digest_open(web: Project, docker_engine: FakeEngine) -> None:
    said = web.succeed("preview", "--non-interactive")

    assert docker_engine.builds == []
    (line,) = [line for line in said.splitlines() if line.strip().startswith("repo_digest")]
    assert "unknown" in line


def test_build_on_preview_builds_but_does_not_push(web: Project, docker_engine: FakeEngine) -> None:
    web.succeed("config", "set", "buildOnPreview", "true")

    web.succeed("preview", "--non-interactive")

    assert len(docker_engine.builds) == 1
    assert docker_engine.pushes == []


def test_skip_push_gives_the_image_id(web: Project, docker_engine: FakeEngine) -> None:
    web.succeed("config", "set", "skipPush", "true")

    web.up()

    assert docker_engine.pushes == []
    assert web.output("repo_digest").startswith("sha256:")


def test_destroy_deletes_nothing_in_engine_and_registry(web: Project, docker_engine: FakeEngine) -> None:
    web.up()

    web.succeed("destroy", "--yes", "--non-interactive")

    assert docker_engine.deletes == []


def test_a_failed_build_names_image_dockerfile_and_last_lines(web: Project, docker_engine: FakeEngine) -> None:
    docker_engine.fail = "The command '/bin/sh -c false' returned a non-zero code: 1"

    said = web.fail("up", "--yes", "--non-interactive", "--skip-preview")

    assert "building 127.0.0.1:5000/ml-pipeline/web:1 from app/Dockerfile failed" in said
    assert "returned a non-zero code: 1" in said
    assert "Step 3/3 : COPY . /" in said
    assert "Traceback" not in said


def test_a_failed_push_says_so(web: Project, docker_engine: FakeEngine) -> None:
    docker_engine.push_fails = "unauthorized: authentication required"

    said = web.fail("up", "--yes", "--non-interactive", "--skip-preview")

    assert "pushing 127.0.0.1:5000/ml-pipeline/web:1 failed: unauthorized" in said


def test_an_absent_engine_is_one_clear_message(web: Project) -> None:
    web.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock"

    said = web.fail("up", "--yes", "--non-interactive", "--skip-preview")

    assert "cannot reach the Docker engine at unix:///nowhere/docker.sock" in said.replace("http+unix", "unix")
    assert "mlp cluster up" in said
    assert "Traceback" not in said


def test_secrets_appear_in_no_output_and_in_no_plain_state(web: Project, docker_engine: FakeEngine) -> None:
    web.succeed("config", "set", "--secret", "token", "tok-12345")
    web.succeed("config", "set", "--secret", "password", "pass-67890")

    said = web.up() + web.succeed("preview", "--diff", "--non-interactive")

    state = web.succeed("stack", "export")
    assert "tok-12345" in docker_engine.builds[0].parameters["buildargs"][0]
    auth = json.loads(base64.urlsafe_b64decode(docker_engine.pushes[0][1]))
    assert auth["password"] == "pass-67890"
    assert "the value of TOKEN is [secret]" in said
    for secret in ("tok-12345", "pass-67890"):
        assert secret not in said
        assert secret not in state


def test_a_new_registry_password_does_not_rebuild(web: Project, docker_engine: FakeEngine) -> None:
    web.succeed("config", "set", "--secret", "password", "first")
    web.up()

    web.succeed("config", "set", "--secret", "password", "second")
    web.succeed("preview", "--expect-no-changes", "--non-interactive")

    assert len(docker_engine.builds) == 1


def test_every_wrong_input_is_named_at_once(web: Project) -> None:
    web.write(
        "__main__.py",
        "import pulumi, pulumi_docker as docker\n"
        "docker.Image('web', image_name='web:1', build=docker.DockerBuildArgs(context='app', dockerfile='Dockerfile',"
        " builder_version='V3'))\n",
    )

    said = web.fail("preview", "--non-interactive")

    assert "names no registry" in said
    assert "Try 'app/Dockerfile'" in said
    assert "must be one of" in said


def test_schema_has_the_names_and_types_of_the_official_sdk(web: Project) -> None:
    schema = json.loads(web.succeed("package", "get-schema", str(paths.venv_bin() / "pulumi-resource-docker")))

    resource = schema["resources"]["docker:index/image:Image"]
    types = schema["types"]
    assert _names(resource["inputProperties"]) == _parameters(pulumi_docker.ImageArgs)
    assert _names(types["docker:index/dockerBuild:DockerBuild"]["properties"]) == _parameters(
        pulumi_docker.DockerBuildArgs
    )
    assert _names(types["docker:index/registry:Registry"]["properties"]) == _parameters(pulumi_docker.RegistryArgs)
    assert _names(types["docker:index/cacheFrom:CacheFrom"]["properties"]) == _parameters(pulumi_docker.CacheFromArgs)
    outputs = {name for name, value in vars(pulumi_docker.Image).items() if isinstance(value, property)}
    assert _names(resource["properties"]) == outputs
    versions = {member.value for member in pulumi_docker.BuilderVersion}
    assert {entry["value"] for entry in types["docker:index/builderVersion:BuilderVersion"]["enum"]} == versions
    assert resource["requiredInputs"] == ["imageName"]


def test_schema_types_are_those_of_the_official_sdk() -> None:
    schema = json.loads((paths.repo_root() / "toolchain/plugins/docker_image/schema.json").read_text())

    words = {"string": "str", "boolean": "bool", "array": "Sequence", "object": "Mapping"}
    for arguments, table in (
        (pulumi_docker.ImageArgs, schema["resources"]["docker:index/image:Image"]["inputProperties"]),
        (pulumi_docker.DockerBuildArgs, schema["types"]["docker:index/dockerBuild:DockerBuild"]["properties"]),
        (pulumi_docker.RegistryArgs, schema["types"]["docker:index/registry:Registry"]["properties"]),
    ):
        hints = inspect.signature(arguments.__init__).parameters
        for name, entry in table.items():
            hint = str(hints[_snake(name)].annotation)
            wanted = words[entry["type"]] if "type" in entry else entry["$ref"].split(":")[-1]
            assert wanted in hint, (name, hint)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _names(properties: dict) -> set[str]:
    return {_snake(name) for name in properties}


def _parameters(arguments: type) -> set[str]:
    return set(inspect.signature(arguments.__init__).parameters) - {"__self__", "self"}
