import pytest

from ml.configured import configured
from ml.errors import ConfigError
from ml.problem import by_package, current


def test_this_checkout_is_about_flights(monkeypatch):
    monkeypatch.delenv("MLP_PROBLEM", raising=False)

    assert current().name == "flights"


def test_the_environment_names_another_problem(monkeypatch):
    monkeypatch.setenv("MLP_PROBLEM", "tests.problems.iris")

    assert current().name == "iris"


@pytest.mark.parametrize("package", ["ml.no_such_problem", "no_such_folder", "ml.training"])
def test_a_folder_without_a_problem_is_refused_by_name(package):
    with pytest.raises(ConfigError, match=f"ML-CONF-102: problem '{package}'"):
        by_package(package)


def test_a_module_that_the_users_code_lacks_is_not_blamed_on_the_folder(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "problem.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        by_package("mine")


def test_a_module_problem_without_the_name_is_refused(tmp_path, monkeypatch):
    (tmp_path / "yours").mkdir()
    (tmp_path / "yours" / "problem.py").write_text("PROBLEM = 3\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigError, match="defines no PROBLEM"):
        by_package("yours")


def test_a_pyproject_without_the_entry_is_refused_with_the_line_to_add(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\n")

    with pytest.raises(ConfigError, match=r"ML-CONF-101.*(?s:.)*\[tool.ml-pipeline\] problem = "):
        configured(tmp_path / "pyproject.toml")
