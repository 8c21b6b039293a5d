"""Ensembles that predict: of models of two image sizes, put together by the command."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

import predict
from plumbing.command import run_command
from plumbing.errors import ModelError
from predict.ensemble import main
from predict.export import export
from predict.predictor import Predictor
from results import schema
from results.records import ENSEMBLE
from results.store import Store

Capsys = pytest.CaptureFixture[str]
TASK = "all_parts"
NAME = "together"


def command(capsys: Capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command("predict.ensemble", main, [str(each) for each in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture(scope="module")
def folder(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store with one model more, of larger images."""
    from search.run import main as search

    folder = tmp_path_factory.mktemp("ensemble")
    shutil.copy(searched / "results.db", folder)
    given = {
        "--part": TASK,
        "--trials": 1,
        "--data": searched / "data",
        "--architecture": "efficientnet_lite0",
        "--image-size": 48,
        "--epochs": 1,
        "--views": 1,
        "--name": "larger",
        "--store": f"sqlite:///{folder / 'results.db'}",
        "--runs": folder / "runs",
    }
    assert run_command("search.run", search, [str(each) for option in given.items() for each in option]) == 0
    with_studies_known(f"sqlite:///{folder / 'results.db'}")
    assert run_command("predict.ensemble", main, ["--part", TASK, "--name", NAME, "--store", given["--store"]]) == 0  # type: ignore[list-item]
    return folder


def with_studies_known(url: str) -> None:
    """Let the models of each size be right about every other study of valid, and know nothing of the rest.

    Networks this small, trained for an epoch, may be better alone; what they say of test stays as it is.
    """
    store = Store.open(url)
    for trial in store.trials():
        if trial.part_body == TASK:
            search = next(each for each in store.searches() if each.id == trial.search_id)
            images = store.image_list(str(search.data_hash), TASK, "valid")
            known = (images.study_numbers + (trial.image_size == 48)) % 2 == 0
            given = np.where(known[:, None], np.eye(14)[images.labels], 1 / 14).astype("<f4")
            own = (schema.probabilities.c.trial_id == trial.id) & (schema.probabilities.c.split == "valid")
            with store.engine.begin() as connection:
                connection.execute(sa.update(schema.probabilities).where(own).values(values=given.tobytes()))
    store.close()


@pytest.fixture(scope="module")
def ensemble(folder: Path) -> Predictor:
    return predict.load(TASK, store=f"sqlite:///{folder / 'results.db'}", model=NAME)


def test_prediction_gives_the_probabilities_stored_of_the_ensemble(
    searched: Path, folder: Path, ensemble: Predictor
) -> None:
    store = Store.open(f"sqlite:///{folder / 'results.db'}")
    (search,) = (each for each in store.searches() if each.kind == ENSEMBLE)
    (trial,) = store.trials(search.id)
    images, stored = store.image_list(str(search.data_hash), TASK, "test"), store.probabilities(trial.id, "test")
    store.close()
    paths = [searched / "data" / "MURA-v1.1" / path for path in images.paths]
    found = np.stack([each.raw for each in ensemble.images(paths)])  # type: ignore[union-attr]
    assert found == pytest.approx(stored, abs=1e-4)


def test_it_is_the_weighted_mean_of_models_of_two_sizes(ensemble: Predictor, hands: list[Path]) -> None:
    members = [(Predictor(member), weight) for member, weight in ensemble.model.members]
    assert {member.size for member, _ in members} == {32, 48}
    assert sum(weight for _, weight in members) == pytest.approx(1)
    expected = sum(weight * member.image(hands[0]).raw for member, weight in members)
    assert ensemble.image(hands[0]).raw == pytest.approx(expected, abs=1e-6)
    assert ensemble.image(hands[0]).model == NAME


def test_an_ensemble_is_not_exported_but_its_members_are_named(ensemble: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"^{NAME} is an ensemble: export its members"):
        export(ensemble.model, "onnx", tmp_path / "out.onnx", "")


def test_an_ensemble_predicts_only_where_it_is_named(folder: Path) -> None:
    from predict.chosen import choose

    url = f"sqlite:///{folder / 'results.db'}"
    assert [choose(url, TASK, name).name for name in (None, "best")].count(NAME) == 0
    assert [choose(url, TASK, name).name for name in (NAME, "ensemble")] == [NAME, NAME]


@pytest.mark.parametrize("taken", ["model_name", "name_code", "best", "ensemble", "", "a\nb", "a\x1b[31m", "x" * 101])
def test_an_ensemble_may_not_take_the_name_of_another_model(folder: Path, capsys: Capsys, taken: str) -> None:
    """It would answer in that model's place."""
    url = f"sqlite:///{folder / 'results.db'}"
    store = Store.open(url)
    begun = store.searches()
    (larger,) = (each for each in store.trials() if each.model_name == "larger_0000")
    name = getattr(larger, taken) if taken in ("model_name", "name_code") else taken
    code, out, err = command(capsys, "--part", TASK, "--name", name, "--store", url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err[:-1].isprintable()
    assert err.startswith("predict.ensemble: --name ")
    assert "; give another --name" in err or "give letters, digits" in err
    assert store.searches() == begun
    store.close()


def test_the_command_tells_members_figures_and_what_to_expect(folder: Path, capsys: Capsys) -> None:
    url = f"sqlite:///{folder / 'results.db'}"
    code, out, _ = command(capsys, "--part", TASK, "--name", NAME, "--store", url)
    lines = out.splitlines()
    assert (code, lines[0]) == (0, f"{NAME}: a mean of 3 of 3 kept models")
    assert {line.split(" of 3  ")[1] for line in lines[1:4]} == {
        "larger, trial 0",
        f"{TASK}-optuna, trial 0",
        f"{TASK}-optuna, trial 1",
    }
    assert [line.split(":")[0] for line in lines[4:6]] == ["valid AUC by study", "test AUC by study"]
    assert lines[-1].startswith("How much of its valid AUC is the luck of the choice is not known: too few patients")


def test_a_member_whose_file_is_gone_is_told_in_a_line(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "results.db", tmp_path)
    url = f"sqlite:///{tmp_path / 'results.db'}"
    store = Store.open(url)
    (member,) = (each for each in store.trials() if each.image_size == 48 and each.architecture != ENSEMBLE)
    path = Path(str(member.model_path))
    path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(ModelError, match=r"^the file of model larger_0000 is gone: "):
            predict.load(TASK, store=url, model=NAME)
    finally:
        path.with_suffix(".away").rename(path)
    store.forget_model(member.id)
    store.close()
    with pytest.raises(ModelError, match=f"^ensemble {NAME} needs the model of larger, trial 0, which is kept no more"):
        predict.load(TASK, store=url, model=NAME)


def test_models_that_are_no_better_together_are_left_alone(url: str, store: Store, capsys: Capsys) -> None:
    code, out, _ = command(capsys, "--part", "XR_HAND", "--most", 2, "--store", url)
    assert (code, out.startswith("No mean of kept models is better on valid")) == (0, True)
    assert store.search("XR_HAND-ensemble") is None


def test_a_part_without_models_and_a_store_that_is_not_there_are_told(url: str, tmp_path: Path, capsys: Capsys) -> None:
    code, _, err = command(capsys, "--part", "XR_WRIST", "--store", url)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("predict.ensemble: 0 models of XR_WRIST on the same data are kept")
    code, _, err = command(capsys, "--part", "XR_WRIST", "--store", f"sqlite:///{tmp_path / 'absent.db'}")
    assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "absent.db").exists()
