"""What hides other objects from the policies is refused."""

POLICY = "nothing-opaque"


def test_a_helm_release_fails(analyze):
    [message] = analyze(POLICY, "kubernetes:helm.sh/v3:Release", {"chart": "x"})

    assert "hides what it makes" in message


def test_ordinary_objects_and_rendered_charts_pass(analyze):
    for kind in ("kubernetes:apps/v1:Deployment", "kubernetes:helm.sh/v4:Chart", "pulumi:pulumi:Stack"):
        assert analyze(POLICY, kind, {}) == []
