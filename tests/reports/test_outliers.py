"""The outlier rule."""

import numpy as np
import pandas as pd
import scipy.stats

from plumbing.seeds import generator_of
from reports.outliers import LIMIT, MEASURES, outliers_table, robust_z, rule_in_words


def images(count: int = 40, part: str = "XR_HAND") -> pd.DataFrame:
    """Images of one size, with greys that vary a little."""
    draw = generator_of("greys", part)
    return pd.DataFrame(
        {
            "path": [f"{part}/{number:02}.png" for number in range(count)],
            "part": part,
            "width": 400,
            "height": 500,
            "mean": draw.normal(60, 5, count),
            "spread": draw.normal(40, 3, count),
        }
    )


def test_score_is_that_of_scipys_median_absolute_deviation() -> None:
    values = generator_of("values").normal(0, 1, 101)
    scale = scipy.stats.median_abs_deviation(values, scale="normal")
    np.testing.assert_allclose(robust_z(values), (values - np.median(values)) / scale, rtol=1e-4)


def test_equal_values_have_no_outliers_and_one_other_is_found() -> None:
    assert robust_z(np.full(5, 7.0)).tolist() == [0.0] * 5
    assert np.flatnonzero(np.abs(robust_z(np.array([7.0] * 50 + [9.0]))) > LIMIT).tolist() == [50]


def test_an_outlier_in_each_measure_is_named_with_its_reason() -> None:
    table = images()
    table.loc[3, ["width", "height"]] = [100, 125]
    table.loc[5, "width"], table.loc[5, "height"] = 500, 400
    table.loc[7, "mean"] = 200.0
    table.loc[9, "spread"] = 1.0

    found = outliers_table(table).sort_values("path")

    assert list(zip(found["path"].str[-6:-4], found["measure"], strict=True)) == [
        ("03", "size"), ("05", "shape"), ("07", "brightness"), ("09", "contrast"),
    ]  # fmt: skip
    assert found["reason"].iloc[0] == "megapixels 0.0125; the median of XR_HAND is 0.2"
    assert found["z"].abs().min() > LIMIT


def test_a_difference_too_small_to_matter_is_none() -> None:
    table = images()
    table.loc[3, "width"] = 410
    assert outliers_table(table).empty


def test_a_part_is_compared_with_itself() -> None:
    bright = images(part="XR_SHOULDER")
    bright["mean"] += 120
    assert outliers_table(pd.concat([images(200), bright], ignore_index=True)).empty


def test_the_rule_names_every_measure() -> None:
    assert all(measure.unit in rule_in_words() for measure in MEASURES)
