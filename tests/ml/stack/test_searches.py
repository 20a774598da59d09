import json

import pytest

from ml.errors import UsageError
from ml.stack.searches import result, searches
from tests.ml.stack.fakes import Namespace

SECTION = {"best": {"trial": 3, "value": 0.5, "parameters": {"x": 1}}, "study": "june"}


def job(namespace, study, *, message=None, code=0, label="search", **status):
    labels = {"app.kubernetes.io/name": label}
    namespace.objects["job", f"search-{study}"] = {
        "metadata": {"name": f"search-{study}", "labels": labels}, "status": status,
    }  # fmt: skip
    ended = {"terminated": {"exitCode": code, "message": message}}
    for index, state in enumerate(({"running": {}}, ended)):
        namespace.objects["pod", f"search-{study}-{index}"] = {
            "metadata": {"labels": {"batch.kubernetes.io/job-name": f"search-{study}"}},
            "status": {"containerStatuses": [{"state": state}]},
        }


@pytest.fixture
def namespace():
    return Namespace()


def test_a_search_is_over_when_a_pod_left_its_result(namespace):
    job(namespace, "june", message=json.dumps(SECTION), succeeded=2, failed=1)
    job(namespace, "july", active=2)

    july, june = searches(namespace)

    assert (june.study, june.succeeded, june.failed, june.section) == ("june", 2, 1, SECTION)
    assert (july.study, july.active, july.section) == ("july", 2, None)


@pytest.mark.parametrize(
    ("message", "code"), [(None, 0), ("no json", 0), ("[]", 0), ('{"other": 1}', 0), (json.dumps(SECTION), 1)]
)
def test_whatever_else_a_pod_says_is_no_result(namespace, message, code):
    job(namespace, "june", message=message, code=code)

    assert searches(namespace)[0].section is None


def test_jobs_of_others_are_no_searches(namespace):
    job(namespace, "x", label="drift-check", message=json.dumps(SECTION))
    namespace.objects["job", "drift-check-1"] = {"metadata": {"name": "drift-check-1"}}

    assert searches(namespace) == []


def test_the_only_search_that_is_over_needs_no_name(namespace):
    job(namespace, "june", message=json.dumps(SECTION))
    job(namespace, "july", active=1)

    assert result(namespace, "staging", None).study == "june"


@pytest.mark.parametrize("study", [None, "july", "august"])
def test_a_result_that_cannot_be_taken_says_what_there_is(namespace, study):
    job(namespace, "july", active=1)

    with pytest.raises(UsageError, match=r"ML-TRAIN-023.*july \(not over\)"):
        result(namespace, "staging", study)


def test_of_two_results_one_has_to_be_named(namespace):
    for study in ("june", "july"):
        job(namespace, study, message=json.dumps({**SECTION, "study": study}))

    with pytest.raises(UsageError, match="ML-TRAIN-023"):
        result(namespace, "staging", None)
    assert result(namespace, "staging", "june").section["study"] == "june"
