import numpy as np
import pytest

from ml.data.transform import resolve

ROWS = np.ones((2, 3), dtype=np.float32)


def test_no_path_leaves_the_rows_as_they_are():
    assert resolve(None)(ROWS) is ROWS


def test_a_path_names_module_and_function():
    assert resolve("numpy:negative")(ROWS).tolist() == (-ROWS).tolist()


def test_the_result_is_what_the_model_takes():
    assert resolve("numpy:float64")(ROWS).dtype == np.float32


@pytest.mark.parametrize("path", ["numpy", "numpy:no_such_function", "numpy:"])
def test_a_path_to_nothing_is_refused(path):
    with pytest.raises(ValueError, match="must be module:function"):
        resolve(path)
