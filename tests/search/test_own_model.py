"""A user's own build(hp) or HyperModel, searched as the listed architectures are."""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plumbing.errors import SpaceError, UsageError
from results.records import Trial
from results.store import Store
from search.own_model import OwnModel, own_model
from tests.search.conftest import Searcher, killed
from tests.search.kills import KILL, after_epoch, before_commit, before_telling

Capsys = pytest.CaptureFixture[str]
HEAD = """
import keras
import keras_tuner
from keras import layers


def finished(flow, outputs, activation, loss, optimizer="adam"):
    model = keras.Sequential([layers.Flatten(), *flow, layers.Dense(outputs, activation=activation)])
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model

"""
LAYERED = """
def layered(hp):
    # So many layers, each of its own width.
    flow = []
    for number in range(hp.Int("depth", 1, 3)):
        flow.append(layers.Dense(hp.Int(f"width_{number}", 4, 16, step=4), hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        flow.append(layers.Dropout(0.25))
    rate = hp.Float("rate", 1e-4, 1e-2, sampling="log")
    return finished(flow, 2, "softmax", "categorical_crossentropy", keras.optimizers.Adam(rate))
"""
SHUFFLED = """
class Shuffled(keras_tuner.HyperModel):
    # Whether images are shuffled is found out when it is trained.
    def build(self, hp):
        flow = [layers.Dense(hp.Int("width", 4, 32, step=4), "relu"), layers.Dropout(0.3)]
        return finished(flow, 1, "sigmoid", "binary_crossentropy")

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)


instance = Shuffled()
"""
OF_14 = """
def of_14(hp):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return finished([layers.Dense(hp.Int("width", 4, 16), "relu")], 14, None, loss)
"""
WRONG = r"""
def ten(hp):
    return finished([], 10, "softmax", "categorical_crossentropy")


def a_map(hp):
    model = keras.Sequential([layers.Conv2D(1, 3, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def uncompiled(hp):
    return keras.Sequential([layers.Flatten(), layers.Dense(1)])


def no_model(hp):
    return [hp.Int("width", 4, 8)]


def with_a_lambda(hp):
    return finished([layers.Lambda(lambda flow: 2 * flow)], 1, "sigmoid", "binary_crossentropy")


def architecture(hp):
    return finished([layers.Dense(hp.Choice("architecture", [4, 8]))], 1, "sigmoid", "binary_crossentropy")


def failing(hp):
    raise ValueError("of no use\n to anybody")


number = 3
"""


class OwnSearcher(Searcher):
    """Searches a user's own model, by Keras Tuner."""

    def arguments(self, *more: object) -> list[str]:
        flat = super().arguments("--engine", "keras-tuner", *more)
        place = flat.index("--architecture")
        return flat[:place] + flat[place + 2 :]

    def stored(self) -> list[Trial]:
        store = Store.open(self.store)
        try:
            return store.trials()
        finally:
            store.close()

    def histories(self) -> dict[int, dict[str, list[float | None]]]:
        """By the trials' numbers."""
        store = Store.open(self.store)
        try:
            found = store.histories()
            return {trial.number: found[trial.id] for trial in store.trials() if trial.id in found}
        finally:
            store.close()


@pytest.fixture
def own(tmp_path: Path, small_data: Path) -> OwnSearcher:
    return OwnSearcher(tmp_path / "own", small_data)


@pytest.fixture
def own_other(tmp_path: Path, small_data: Path) -> OwnSearcher:
    return OwnSearcher(tmp_path / "own other", small_data)


Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a file of models; gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "models.py"
        path.write_text(HEAD + text)
        return path

    return write


# The file and the name


def told_of(raised: "pytest.ExceptionInfo[Exception]") -> str:
    return str(raised.value)


@pytest.mark.parametrize("option", ["models.py", "models.py:", "models:py:3", ":build", "models.py:a b"])
def test_what_is_not_file_and_name_is_told(tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError) as raised:
        own_model(option)
    assert told_of(raised).startswith(f"--hypermodel {option}: ")


def test_a_path_with_colons_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a:b.py"
    path.write_text("")
    assert own_model(f"{path}:build") == OwnModel(path, "build")


def test_nothing_is_run_before_the_model_is_asked_for(written: Written) -> None:
    path = written("raise RuntimeError('run')")
    found = own_model(f"{path}:build")
    assert found.architecture.name == "build"
    with pytest.raises(UsageError, match=f"--hypermodel {path}:build: RuntimeError: run; mend it"):
        _ = found.hypermodel


@pytest.mark.parametrize(
    ("name", "told"),
    [("absent", "the file has no absent; give a name that it has"), ("number", "neither build(hp) nor")],
)
def test_a_name_that_is_no_model_is_told(written: Written, name: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        _ = own_model(f"{written(WRONG)}:{name}").hypermodel
    assert told in told_of(raised)


def test_a_file_that_is_no_python_is_told(tmp_path: Path) -> None:
    (tmp_path / "models.txt").write_text("")
    with pytest.raises(UsageError, match=r"no Python file; give one that ends in \.py"):
        _ = own_model(f"{tmp_path / 'models.txt'}:build").hypermodel


@pytest.mark.parametrize("name", ["Shuffled", "instance"])
def test_a_class_and_an_instance_are_the_same_model(written: Written, name: str) -> None:
    found = own_model(f"{written(SHUFFLED)}:{name}")
    assert [each["config"]["name"] for each in found.space] == ["width"]


def test_a_file_may_import_what_lies_beside_it(written: Written, tmp_path: Path) -> None:
    (tmp_path / "beside_the_models.py").write_text("WIDTHS = [4, 8]\n")
    path = written("from beside_the_models import WIDTHS\ndef build(hp):\n    return hp.Choice('width', WIDTHS)\n")
    assert own_model(f"{path}:build").space[0]["config"]["values"] == [4, 8]


def test_a_file_may_hold_dataclasses(tmp_path: Path) -> None:
    """They look their module up among those that were imported, where it was missing."""
    path = tmp_path / "models.py"
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    text += "@dataclass\nclass Settings:\n    width: int = 4\n"
    path.write_text(text + "def build(hp):\n    return hp.Fixed('width', Settings().width)\n")
    assert own_model(f"{path}:build").space[0]["config"]["value"] == 4


def test_what_building_brings_up_is_the_space_every_condition_met_once(written: Written) -> None:
    text = """
def build(hp):
    kind = hp.Choice("kind", ["flat", "deep"])
    with hp.conditional_scope("kind", ["deep"]):
        if kind == "deep":
            hp.Int("width", 4, 8)
    hp.Float("rate", 0.1, 0.2)
"""
    space = own_model(f"{written(text)}:build").space
    assert [each["config"]["name"] for each in space] == ["kind", "rate", "width"]
    assert space == json.loads(json.dumps(space))


@pytest.mark.parametrize(
    ("name", "classes", "told"),
    [
        ("ten", 2, "its output has shape (batch, 10); this task needs (batch, 1) or (batch, 2)"),
        ("ten", 14, "its output has shape (batch, 10); this task needs (batch, 14)"),
        ("a_map", 2, "its output has shape (batch, 30, 30, 1); this task needs (batch, 1) or (batch, 2)"),
        ("uncompiled", 2, "the model is not compiled; call model.compile in it"),
        ("no_model", 2, "builds list; return a keras.Model"),
        ("failing", 2, "ValueError: of no use; mend it"),
        ("architecture", 2, "a parameter is named architecture, which is taken; give it another name"),
    ],
)
def test_a_model_that_does_not_fit_the_task_is_told(written: Written, name: str, classes: int, told: str) -> None:
    path = written(WRONG)
    with pytest.raises(SpaceError) as raised:
        own_model(f"{path}:{name}").check(32, classes)
    assert told_of(raised) == f"--hypermodel {path}:{name}: {told}"


def test_a_model_that_could_not_be_loaded_again_is_told_before_it_is_trained(written: Written) -> None:
    """Python's lambdas are not loaded in safe mode."""
    with pytest.raises(SpaceError, match=r"with_a_lambda: cannot be saved and loaded: .*Lambda"):
        own_model(f"{written(WRONG)}:with_a_lambda").check(32, 2)


# As a command


@pytest.mark.parametrize(
    ("option", "more", "told"),
    [
        ("models.py", (), "give FILE:NAME, as in model.py:build"),
        ("/nowhere/models.py:layered", (), "there is no file /nowhere/models.py; give its path"),
        ("{path}:absent", (), "the file has no absent; give a name that it has"),
        ("{path}:number", (), "neither build(hp) nor a HyperModel; give one of them"),
        ("{path}:ten", (), "its output has shape (batch, 10); this task needs (batch, 1) or (batch, 2)"),
        ("{path}:layered", ("--part", "all_parts"), "its output has shape (batch, 2); this task needs (batch, 14)"),
        ("{path}:uncompiled", (), "the model is not compiled; call model.compile in it"),
        ("{path}:no_model", (), "builds list; return a keras.Model"),
        ("{path}:failing", (), "ValueError: of no use; mend it"),
        ("{path}:with_a_lambda", (), "cannot be saved and loaded"),
        ("{path}:layered", ("--engine", "optuna"), "its space is Keras Tuner's; give --engine keras-tuner"),
        ("{path}:layered", ("--space", "space.toml"), "--space does not go with --hypermodel; leave it out"),
        ("{path}:layered", ("--enqueue", "published"), "--enqueue does not go with --hypermodel; leave it out"),
        ("{path}:layered", ("--max-parameters", 9), "--max-parameters does not go with --hypermodel; leave it out"),
        ("{path}:layered", ("--max-seconds-per-image", 9), "--max-seconds-per-image does not go with --hypermodel"),
    ],
)
def test_what_cannot_be_searched_is_one_line_and_nothing_is_made(
    own: OwnSearcher, capsys: Capsys, written: Written, option: str, more: tuple[object, ...], told: str
) -> None:
    path = written(LAYERED + WRONG)
    ended = own.here(capsys, "--hypermodel", option.format(path=path), *more)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("search.run: ")
    assert told in line
    assert not own.folder.exists()


def test_an_architecture_does_not_go_with_a_model_of_ones_own(
    searcher: Searcher, capsys: Capsys, written: Written
) -> None:
    more = ("--engine", "keras-tuner", "--hypermodel", f"{written(LAYERED)}:layered")
    ended = searcher.here(capsys, *more, "--architecture", "base_cnn")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "--architecture does not go with --hypermodel; leave it out" in ended.err
    assert not searcher.folder.exists()


def test_a_plan_is_explained_and_nothing_is_made(own: OwnSearcher, capsys: Capsys, written: Written) -> None:
    ended = own.here(capsys, "--hypermodel", f"{written(LAYERED)}:layered", flags=("--explain",))
    assert ended.code == 0
    assert "val_auc maximised by keras-tuner bayesian" in ended.out
    assert not own.folder.exists()


def configurations(searcher: OwnSearcher) -> list[Mapping[str, Any]]:
    return [trial.configuration for trial in searcher.stored()]


@pytest.mark.parametrize("sampler", ["random", "bayesian", "grid"])
def test_a_build_function_is_searched(own: OwnSearcher, capsys: Capsys, written: Written, sampler: str) -> None:
    more = ("--hypermodel", f"{written(LAYERED)}:layered", "--sampler", sampler, "--epochs", 1)
    ended = own.here(capsys, *more, "--trials", 3)
    assert ended.code == 0, ended.err
    assert ended.summary["finished"] == 3
    trials = own.trials()
    assert {trial["architecture"] for trial in trials} == {"layered"}
    assert {trial["name_code"] for trial in trials} == {"layered_no_augment_1epochs"}
    assert {"depth", "width_0", "activation", "dropout", "rate"} <= set(json.loads(trials[0]["config"]))
    assert len({trial["config"] for trial in trials}) == 3
    assert all(0 <= trial["test_auc"] <= 1 for trial in trials)


def test_the_models_that_are_kept_are_whole_and_say_what_the_store_does(
    own: OwnSearcher, capsys: Capsys, written: Written
) -> None:
    from radiographs.dataset import decode_images, list_images, sized_pixels
    from radiographs.pixels import PixelStore
    from spaces.tensorflow_runtime import keras

    more = ("--hypermodel", f"{written(LAYERED)}:layered", "--sampler", "random", "--keep-models", 1)
    assert own.here(capsys, *more, "--trials", 2).code == 0
    (best,) = [trial for trial in own.stored() if trial.model_path]
    model = keras().saving.load_model(best.model_path, safe_mode=True)
    store = PixelStore(own.runs / "pixels")
    dataset = decode_images(list_images(own.data, "XR_WRIST"), store, {32})
    pixels, test = sized_pixels(dataset, store, 32), dataset.split("test")
    grey = np.stack([pixels.of(digest) for digest in test["digest"]])[..., None].astype(np.float32)
    (stored,) = [trial["test_probabilities"] for trial in own.trials() if trial["trial"] == best.number]
    np.testing.assert_allclose(model.predict_on_batch(grey), np.array(stored).reshape(-1, 1), rtol=1e-4, atol=1e-6)


def test_the_14_class_task_is_searched(own: OwnSearcher, capsys: Capsys, written: Written) -> None:
    more = ("--hypermodel", f"{written(OF_14)}:of_14", "--part", "all_parts", "--sampler", "random", "--epochs", 1)
    ended = own.here(capsys, *more, "--trials", 1)
    assert ended.code == 0, ended.err
    (trial,) = own.trials()
    assert {len(row) for row in trial["test_probabilities"]} == {14}
    assert sum(trial["test_probabilities"][0]) == pytest.approx(1, abs=1e-5)


def test_parameters_found_while_training_are_stored_and_tuned_from_then_on(
    own: OwnSearcher, capsys: Capsys, written: Written
) -> None:
    more = ("--hypermodel", f"{written(SHUFFLED)}:Shuffled", "--sampler", "random", "--epochs", 1, "--batch-trials", 2)
    ended = own.here(capsys, *more, "--trials", 8)
    assert ended.code == 0, ended.err
    trials = own.stored()
    for trial in trials:
        assert trial.found_parameters is not None
        assert [each["config"]["name"] for each in trial.found_parameters] == ["shuffle"]
        assert set(trial.configuration) == {"architecture", "width", "shuffle"}
    shuffled = [trial.configuration["shuffle"] for trial in trials]
    assert shuffled[:2] == [False, False]  # the first batch knew nothing of it
    assert set(shuffled[2:]) == {False, True}


def test_the_best_own_models_are_trained_again_under_fresh_seeds_with_the_parameters_found_in_training(
    own: OwnSearcher, capsys: Capsys, written: Written
) -> None:
    more = ("--hypermodel", f"{written(SHUFFLED)}:Shuffled", "--sampler", "random", "--epochs", 1, "--batch-trials", 2)
    ended = own.here(capsys, *more, "--trials", 4, "--confirm", 1)
    assert ended.code == 0, ended.err
    trials = own.stored()
    first, fresh = trials[:4], trials[4:]
    best = max(first, key=lambda trial: trial.value or 0)
    assert len(fresh) == 5
    assert {trial.state for trial in fresh} == {"finished"}
    assert all(dict(trial.configuration) == dict(best.configuration) for trial in fresh)
    assert len({trial.value for trial in fresh}) > 1


NARROW = """
def narrow(hp):
    # A parameter's name may be one of ours; three values of four fail in one way or another.
    width = hp.Choice("frozen", [4, 8, 16, 32])
    if width == 8:
        raise ValueError(f"{width} is too wide")
    return finished([layers.Dense(width, "relu")], 3 if width == 16 else 1, "sigmoid", "binary_crossentropy")


class NarrowInTraining(keras_tuner.HyperModel):
    def build(self, hp):
        hp.Choice("width", [4, 8])
        return finished([], 1, "sigmoid" if hp.get("width") == 4 else None, "binary_crossentropy")
"""


def test_a_configuration_whose_model_fails_is_a_failed_trial_and_the_search_goes_on(
    own: OwnSearcher, capsys: Capsys, written: Written
) -> None:
    path = written(NARROW)
    more = ("--hypermodel", f"{path}:narrow", "--sampler", "grid", "--epochs", 1, "--trials", 4)
    ended = own.here(capsys, *more)
    assert ended.code == 0, ended.err
    reasons = {trial.configuration["frozen"]: trial.reason for trial in own.stored()}
    place = f"--hypermodel {path}:narrow"
    assert reasons == {
        4: None,
        8: f"{place}: ValueError: 8 is too wide; mend it",
        16: f"{place}: its output has shape (batch, 3); this task needs (batch, 1) or (batch, 2)",
        32: None,
    }


def test_outputs_that_are_no_probabilities_fail_the_trial(own: OwnSearcher, capsys: Capsys, written: Written) -> None:
    more = ("--hypermodel", f"{written(NARROW)}:NarrowInTraining", "--sampler", "grid", "--epochs", 1, "--trials", 2)
    ended = own.here(capsys, *more)
    assert (ended.code, ended.summary["finished"], ended.summary["failed"]) == (0, 1, 1), ended.err
    assert "outputs outside 0..1: end in sigmoid or softmax, or from_logits=True" in ended.err


def test_hyperband_trains_the_best_on_from_where_they_ended(own: OwnSearcher, capsys: Capsys, written: Written) -> None:
    more = ("--hypermodel", f"{written(SHUFFLED)}:Shuffled", "--sampler", "hyperband", "--epochs", 3)
    ended = own.here(capsys, *more, "--trials", 5)
    assert ended.code == 0, ended.err
    trials, histories = own.stored(), own.histories()
    promoted = [trial for trial in trials if trial.continues is not None]
    assert promoted
    for trial in promoted:
        parent, first = trials[int(str(trial.continues))], int(str(trial.first_epoch))
        assert first == parent.epochs_trained < (trial.epochs_trained or 0)
        assert dict(trial.configuration) == dict(parent.configuration)
        for metric, values in histories[parent.number].items():
            assert histories[trial.number][metric][:first] == values
    assert {trial.fit_epochs for trial in trials} == {1, 3}


def test_a_promoted_trial_whose_checkpoint_is_gone_ends_alike(
    own: OwnSearcher, own_other: OwnSearcher, capsys: Capsys, written: Written
) -> None:
    more = ("--hypermodel", f"{written(SHUFFLED)}:Shuffled", "--sampler", "hyperband", "--epochs", 3)
    more += ("--batch-trials", 1)
    assert own_other.here(capsys, *more, "--trials", 4).code == 0
    first = next(trial.number for trial in own_other.stored() if trial.continues is not None)
    assert own.here(capsys, *more, "--trials", first).code == 0
    shutil.rmtree(own.runs / "checkpoints")
    ended = own.here(capsys, *more, "--trials", 4)
    assert ended.code == 0
    assert "gone; its trial is trained again from the first epoch" in ended.err
    assert without_first_epoch(own) == without_first_epoch(own_other)


def without_first_epoch(searcher: OwnSearcher) -> list[dict[str, Any]]:
    return [{name: value for name, value in trial.items() if name != "first_epoch"} for trial in searcher.trials()]


def test_a_changed_file_is_another_search_and_nothing_is_touched(
    own: OwnSearcher, capsys: Capsys, written: Written
) -> None:
    more = ("--sampler", "random", "--epochs", 1, "--hypermodel")
    path = written(LAYERED)
    assert own.here(capsys, *more, f"{path}:layered", "--trials", 1).code == 0
    before = (own.folder / "results.db").read_bytes()
    written(LAYERED.replace("4, 16", "4, 20"))
    ended = own.here(capsys, *more, f"{path}:layered", "--trials", 2)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "was started with other own model" in ended.err
    assert (own.folder / "results.db").read_bytes() == before


def test_a_file_that_was_moved_is_the_same_search(own: OwnSearcher, capsys: Capsys, written: Written) -> None:
    more = ("--sampler", "random", "--epochs", 1, "--hypermodel")
    path = written(LAYERED)
    assert own.here(capsys, *more, f"{path}:layered", "--trials", 1).code == 0
    path.rename(path.with_name("moved.py"))
    ended = own.here(capsys, *more, f"{path.with_name('moved.py')}:layered", "--trials", 2)
    assert (ended.code, ended.summary["finished"]) == (0, 2), ended.err


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "bayesian", "hyperband"])
def test_the_same_command_with_more_trials_goes_on(
    own: OwnSearcher, own_other: OwnSearcher, capsys: Capsys, written: Written, sampler: str
) -> None:
    more = ("--hypermodel", f"{written(SHUFFLED)}:Shuffled", "--sampler", sampler, "--epochs", 3, "--batch-trials", 2)
    for trials in (1, 4, 5):
        ended = own.here(capsys, *more, "--trials", trials)
        assert ended.code == 0, ended.err
    assert own_other.here(capsys, *more, "--trials", 5).code == 0
    assert own.trials() == own_other.trials()


# Kills, as in test_resume: trials 0 and 1 are a first batch, 2 and 3 a second.

MOMENTS = {
    "after an epoch": after_epoch("self.done == 3"),
    "between checkpoint and commit": before_commit(2),
    "with one trial of a batch committed": before_commit(3),
    "in the middle of telling a batch": before_telling("keras_tuner_engine", "KerasTunerEngine", 3),
    "in the middle of writing the directory": KILL
    + """
import search.engines.keras_tuner_project as k
write, count = k.write_text_atomically, iter(range(99))
k.write_text_atomically = lambda path, text: die() if next(count) == 4 else write(path, text)
""",
}


@pytest.fixture(scope="module")
def undisturbed(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], OwnSearcher]:
    """A search that was left alone, run once for each sampler."""

    @cache
    def run(sampler: str) -> OwnSearcher:
        folder = tmp_path_factory.mktemp("undisturbed")
        (folder / "models.py").write_text(HEAD + SHUFFLED)
        alone = OwnSearcher(folder / "one", small_data)
        assert alone.apart(*shuffled(folder / "models.py", sampler)).code == 0
        return alone

    return run


def shuffled(path: Path, sampler: str) -> tuple[object, ...]:
    """Hyperband's trial 4 goes on from one of the first three."""
    more = ("--hypermodel", f"{path}:Shuffled", "--sampler", sampler, "--epochs", 3)
    return (*more, "--batch-trials", 2, "--trials", 5)


def project(searcher: OwnSearcher) -> dict[str, Any]:
    """Keras Tuner's directory; which models are meant is the searcher's own, and a set is written in any order."""
    folder = searcher.runs / "keras_tuner"
    files = (path for path in folder.rglob("*.json") if path.name != "search.json")
    found = {str(path.relative_to(folder)): json.loads(path.read_text()) for path in files}
    oracle = found["XR_WRIST-keras-tuner/oracle.json"]
    return found | {"XR_WRIST-keras-tuner/oracle.json": oracle | {"tried_so_far": sorted(oracle["tried_so_far"])}}


CHOSEN = [*((moment, "hyperband") for moment in MOMENTS), ("with one trial of a batch committed", "random")]


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "sampler"), CHOSEN)
def test_invariant_4_a_search_killed_at_a_chosen_instant_resumes_to_the_same_trials(
    own: OwnSearcher,
    undisturbed: Callable[[str], OwnSearcher],
    capsys: Capsys,
    written: Written,
    moment: str,
    sampler: str,
) -> None:
    other, more = undisturbed(sampler), shuffled(written(SHUFFLED), sampler)

    assert killed(own.apart(*more, before=MOMENTS[moment]))
    resumed = own.here(capsys, *more)

    assert resumed.code == 0, resumed.err
    assert own.trials() == other.trials()
    assert own.leaderboard(capsys) == other.leaderboard(capsys)
    assert own.models() == other.models()
    assert project(own) == project(other)
    assert (sampler == "hyperband") == any(trial.continues is not None for trial in own.stored())
