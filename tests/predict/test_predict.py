"""Prediction by the stored models."""

import contextlib
import csv
import json
import os
import pty
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import predict
from plumbing.command import run_command
from plumbing.errors import ModelError, StoreError, UsageError
from predict.__main__ import main
from predict.chosen import ChosenModel, choose
from predict.predictor import Predictor
from results.store import Store

Capsys = pytest.CaptureFixture[str]


def command(capsys: Capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command("predict", main, [str(each) for each in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.parametrize("task", ["XR_HAND", "all_parts"])
def test_invariant_6_prediction_gives_the_probabilities_stored_at_training(
    searched: Path, url: str, store: Store, task: str
) -> None:
    model = choose(url, task, None)
    trial = next(each for each in store.trials() if each.model_name == model.name)
    search = next(each for each in store.searches() if each.id == trial.search_id)
    images = store.image_list(str(search.data_hash), task, "test")
    root = searched / "data" / "MURA-v1.1"

    found = list(Predictor(model).images([root / path for path in images.paths]))

    stored = store.probabilities(trial.id, "test")
    assert stored is not None
    assert np.stack([each.raw for each in found]) == pytest.approx(stored, abs=1e-4)  # type: ignore[union-attr]


def test_json_has_the_contracts_entries(url: str, hands: list[Path], capsys: Capsys) -> None:
    code, out, _ = command(capsys, hands[0], "--part", "XR_HAND", "--json", "--store", url)
    (entry,) = json.loads(out)
    assert code == 0
    assert set(entry) == {"path", "part", "label", "probability", "raw_probability", "model", "warnings"}
    assert entry["label"] == ("abnormal" if entry["probability"] > 0.5 else "normal")
    assert (entry["raw_probability"] > 0.5) == (entry["probability"] > 0.5)


def test_bad_file_has_an_error_and_the_good_ones_a_verdict(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("not an image")
    paths = (tmp_path / "text.png", hands[0], tmp_path / "absent.png")
    code, out, err = command(capsys, *paths, "--part", "XR_HAND", "--json", "--store", url)
    entries = json.loads(out)
    assert code == 2
    assert [set(entry) == {"path", "error"} for entry in entries] == [True, False, True]
    assert len(err.splitlines()) == 2


def test_images_of_one_study_get_a_verdict_together(url: str, hands: list[Path], capsys: Capsys) -> None:
    study = next(path.parent for path in hands if len(list(path.parent.iterdir())) > 1)
    images = sorted(study.iterdir())
    _, out, _ = command(capsys, *images, "--part", "XR_HAND", "--store", url)
    lines = out.splitlines()
    assert len(lines) == len(images) + 1
    assert lines[-1].startswith(f"{study}: ")


def test_study_of_all_parts_is_labelled_by_its_mean_distribution(url: str, hands: list[Path]) -> None:
    predictor = Predictor(choose(url, "all_parts", None))
    study = next(path.parent for path in hands if len(list(path.parent.iterdir())) > 1)
    verdicts = list(predictor.images(sorted(study.iterdir())))
    (whole,) = predictor.studies(verdicts)  # type: ignore[arg-type]
    mean = np.mean([each.raw for each in verdicts], axis=0)  # type: ignore[union-attr]
    assert whole.raw_probability == pytest.approx(mean.max())
    assert whole.label.split()[0].startswith("XR_")


def test_published_functions_return_and_print_the_sentence(url: str, hands: list[Path], capsys: Capsys) -> None:
    said = predict.calculate_binary("best", "XR_HAND", str(hands[0]), store=url)
    assert said in ("X-ray of XR_HAND is normal.", "X-ray of XR_HAND is abnormal.")
    assert capsys.readouterr().out.splitlines()[-1] == said
    found = predict.calculate_14cls("best", "all_parts", hands[0].as_uri(), store=url)
    assert found.startswith("X-ray of XR_")


@pytest.mark.parametrize("by", ["model_name", "name_code"])
def test_a_model_is_found_by_its_name_and_by_its_name_code(url: str, store: Store, by: str) -> None:
    trial = store.trials()[0]
    assert choose(url, "XR_HAND", getattr(trial, by)).task == "XR_HAND"


def test_of_several_models_the_one_best_on_valid_is_chosen(url: str, store: Store) -> None:
    auc = {key: m.value for key, m in store.measures() if (m.split, m.level, m.metric) == ("valid", "study", "auc")}
    hands = [trial for trial in store.trials() if trial.part_body == "XR_HAND"]
    best = max(hands, key=lambda trial: (auc[trial.id], -trial.id))
    assert choose(url, "XR_HAND", "best").name == best.model_name


def test_what_cannot_be_chosen_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model of XR_WRIST"):
        choose(url, "XR_WRIST", None)
    with pytest.raises(ModelError, match="named nothing"):
        choose(url, "XR_HAND", "nothing")
    with pytest.raises(StoreError, match="no such store"):
        choose(f"sqlite:///{tmp_path / 'absent.db'}", "XR_HAND", None)
    assert not (tmp_path / "absent.db").exists()


def test_models_moved_with_their_store_are_found(searched: Path, tmp_path: Path, url: str) -> None:
    shutil.copytree(searched / "runs" / "models", tmp_path / "models")
    shutil.copy(searched / "results.db", tmp_path / "results.db")
    (searched / "runs" / "models").rename(searched / "runs" / "hidden")
    try:
        assert choose(f"sqlite:///{tmp_path / 'results.db'}", "XR_HAND", None).path.is_relative_to(tmp_path)
        with pytest.raises(ModelError, match="is gone"):
            choose(url, "XR_HAND", None)
    finally:
        (searched / "runs" / "hidden").rename(searched / "runs" / "models")


def test_damaged_model_is_one_line(url: str, tmp_path: Path) -> None:
    good = choose(url, "XR_HAND", None)
    (tmp_path / "cut.keras").write_bytes(good.path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        Predictor(ChosenModel("XR_HAND", "cut", tmp_path / "cut.keras", 1.0))


def test_invariant_7_a_model_that_holds_code_is_refused(tmp_path: Path) -> None:
    from spaces.tensorflow_runtime import keras

    grey = keras().Input((8, 8, 1))
    out = keras().layers.Lambda(lambda x: x[:, 0, 0])(grey)
    keras().Model(grey, out).save(tmp_path / "lambda.keras")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Predictor(ChosenModel("XR_HAND", "lambda", tmp_path / "lambda.keras", 1.0))


def test_addresses_of_this_machine_are_not_fetched(url: str) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1 is no public address"):
        predict.calculate_binary("best", "XR_HAND", "http://127.0.0.1/x.png", store=url)


@pytest.mark.slow
def test_saved_model_predicts_without_our_code(url: str, hands: list[Path], tmp_path: Path) -> None:
    model = choose(url, "XR_HAND", None)
    ours = next(Predictor(model).images(hands[:1]))
    code = (
        "import sys, numpy as np, keras\nfrom PIL import Image\n"
        "model = keras.models.load_model(sys.argv[1])\nsize = model.input_shape[1]\n"
        "grey = Image.open(sys.argv[2]).convert('L').resize((size, size), Image.Resampling.BILINEAR)\n"
        "print(float(model.predict_on_batch(np.asarray(grey, 'float32')[None, ..., None])[0, 0]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(model.path), str(hands[0])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(ended.stdout.splitlines()[-1]) == pytest.approx(ours.raw_probability, abs=1e-5)  # type: ignore[union-attr]


def test_folders_and_patterns_mean_their_images_each_once(url: str, hands: list[Path], capsys: Capsys) -> None:
    part = hands[0].parents[2]
    _, whole, _ = command(capsys, part, "--part", "XR_HAND", "--json", "--store", url)
    assert [entry["path"] for entry in json.loads(whole)] == list(map(str, hands))
    pattern = f"{part}/**/image1.png"
    _, some, _ = command(capsys, pattern, hands[0], "--part", "XR_HAND", "--json", "--store", url)
    first = [str(path) for path in hands if path.name == "image1.png"]
    assert [entry["path"] for entry in json.loads(some)] == first


def test_a_pattern_or_folder_without_images_is_one_line(url: str, capsys: Capsys, tmp_path: Path) -> None:
    for given in (tmp_path, tmp_path / "*.png"):
        code, out, err = command(capsys, given, "--part", "XR_HAND", "--store", url)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "no image file in it" in err


def test_by_study_each_folder_gets_one_verdict(url: str, hands: list[Path], capsys: Capsys, tmp_path: Path) -> None:
    shutil.copytree(hands[0].parent, tmp_path / "visit")
    (tmp_path / "visit" / "cut.png").write_text("no image")
    code, out, err = command(capsys, tmp_path, "--part", "XR_HAND", "--study", "--json", "--store", url)
    study, unread = json.loads(out)
    assert (code, study["path"], unread["path"]) == (2, str(tmp_path / "visit"), str(tmp_path / "visit" / "cut.png"))
    assert study["warnings"][-1] == f"{unread['path']}: {unread['error']}"
    assert err.count("\n") == 1


def test_csv_has_a_line_a_verdict_and_no_formula(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(hands[0], tmp_path / "=1+1.png")
    code, out, _ = command(capsys, "=1+1.png", "absent.png", "--part", "XR_HAND", "--csv", "--store", url)
    good, bad = csv.DictReader(StringIO(out))
    assert code == 2
    assert good["path"] == "'=1+1.png"
    assert (good["threshold"], good["images"], good["error"]) == ("0.5", "1", "")
    assert (bad["path"], bad["label"], bad["error"]) == ("absent.png", "", "No such file or directory")


def test_threshold_by_name_is_the_one_chosen_on_valid(url: str, hands: list[Path], capsys: Capsys) -> None:
    threshold = choose(url, "XR_HAND", None).thresholds["sensitivity 0.90"]
    given = (*hands, "--part", "XR_HAND", "--json", "--store", url)
    _, out, _ = command(capsys, *given, "--threshold", "sensitivity")
    assert all((each["label"] == "abnormal") == (each["probability"] >= threshold) for each in json.loads(out))
    code, _, err = command(capsys, *given, "--threshold", "much")
    assert (code, err.strip().endswith("give a number from 0 to 1, youden or sensitivity")) == (2, True)


def test_a_bar_on_the_terminal_leaves_what_goes_to_a_file_whole(url: str, hands: list[Path], tmp_path: Path) -> None:
    ours, terminal = pty.openpty()
    line = [sys.executable, "-m", "predict", *hands, "--part", "XR_HAND", "--engine", "onnx", "--json", "--store", url]
    with (tmp_path / "found.json").open("wb") as out:
        process = subprocess.Popen([str(each) for each in line], stdout=out, stderr=terminal)
    os.close(terminal)
    seen = b""
    with contextlib.suppress(OSError):  # how a terminal ends that nobody writes to any more
        while piece := os.read(ours, 1 << 16):
            seen += piece
    os.close(ours)
    assert process.wait() == 0
    assert len(json.loads((tmp_path / "found.json").read_text())) == len(hands)
    assert f"{len(hands)}/{len(hands)}".encode() in seen
