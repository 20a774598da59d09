from rich.console import Console

from ml.cli.evaluated import calibrated, slice_table


def entry(value, rows, estimate):
    known = estimate is not None
    return {
        "value": value,
        "rows": rows,
        "estimate": estimate,
        "low": estimate - 0.01 if known else None,
        "high": estimate + 0.01 if known else None,
    }


def rendered(metric, entries):
    console = Console(width=120)
    with console.capture() as captured:
        console.print(slice_table({"metric": metric, "columns": {"airport": entries}}))
    return captured.get()


def test_the_worst_slices_come_first_and_the_others_are_counted():
    entries = [entry(f"a{i}", 500, 0.9 - i / 100) for i in range(6)] + [entry("tiny", 20, 0.1), entry("odd", 300, None)]

    shown = rendered("accuracy", entries)

    assert shown.index("airport=a5") < shown.index("airport=a4") < shown.index("airport=a3")
    assert "airport=a2" not in shown
    assert "airport: 3 better, 2 under 100 rows" in shown
    assert "0.8500" in shown


def test_of_a_loss_the_greatest_is_the_worst():
    shown = rendered("mae", [entry("low", 500, 1.0), entry("high", 500, 9.0)])

    assert shown.index("airport=high") < shown.index("airport=low")


def test_a_regression_says_how_far_it_is_off():
    line = calibrated({"of": "prediction", "residual_mean": -1.25, "residual_standard_error": 0.5, "slope": None})

    assert line == "calibration: off by -1.25 on average (standard error 0.5)"
