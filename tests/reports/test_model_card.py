"""Model cards: which model, whose figures, what is said not to be known, and that no name breaks them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from markdown_it import MarkdownIt
from sklearn.metrics import recall_score, roc_auc_score

from predict.chosen import choose
from radiographs.dataset import decode_images, list_images
from radiographs.parts import ALL_PARTS, CLASS_PARTS
from radiographs.pixels import PixelStore
from radiographs.synthetic import LEAST_PATIENTS, draw_dataset
from reports.board import judged_by
from reports.build import file_names
from reports.card_tables import TOO_FEW, details_table, figures_table, groups_table, mistakes_table, splits_table
from reports.cards import card_files
from reports.chosen_model import Chosen, Looked, chosen_model
from reports.data_look import task_hash
from reports.duplicates import EXACT, NEAR, Duplicate, duplicates_table, patients_in_both
from reports.model_card import card_text
from reports.recall import Recall
from results import schema
from results.evaluation import study_cases
from results.records import CONFIRM, FAILED, IMPORT, ImageList, Trial
from search.training.scoring import image_list
from tests.reports.store_maker import HOSTILE, Ended, StoreMaker

LABELS = {"train": [0, 1] * 40, "valid": [0, 1] * 30, "test": [0, 1] * 25}
STRENGTHS = (0.4, 1.2, 0.6, 0.8)


@pytest.fixture
def hand(made: StoreMaker, tmp_path: Path) -> StoreMaker:
    """Four trials of XR_HAND, all kept, the second best."""
    made.images("XR_HAND", LABELS)
    search = made.search("hand", details={"data": "/somewhere/MURA-v1.1", "left_out": [{"path": "a", "reason": "b"}]})
    for number, strength in enumerate(STRENGTHS):
        keep(made, made.measure(search, number, strength), tmp_path)
    return made


def keep(made: StoreMaker, trial: Trial, folder: Path) -> None:
    path = folder / f"{trial.id}.keras"
    path.touch()
    set_path(made, trial.id, str(path))


def set_path(made: StoreMaker, trial_id: int, path: str | None) -> None:
    with made.store.engine.begin() as connection:
        connection.execute(sa.update(schema.trials).where(schema.trials.c.id == trial_id).values(model_path=path))


def chosen_of(made: StoreMaker, part: str = "XR_HAND", looked: Looked | None = None) -> Chosen:
    found = chosen_model(made.store, made.trials(), made.store.searches(), judged_by(made.store), part, looked)
    assert found is not None
    return found


def files_of(made: StoreMaker) -> dict[str, str]:
    trials = made.trials()
    return card_files(made.store, trials, made.store.searches(), judged_by(made.store), file_names(trials), Recall())


def card_of(made: StoreMaker, name: str = "XR_HAND") -> str:
    return files_of(made)[f"cards/model_card_{name}.md"]


def several_images(made: StoreMaker, images_of: Callable[[int], int], labels: Mapping[str, list[int]]) -> None:
    """Studies s000, s001, ... of patients of the same number, each of so many images."""
    for split, values in labels.items():
        studies = [f"{split}/s{study:03d}" for study in range(len(values)) for _ in range(images_of(study))]
        label = [values[study] for study in range(len(values)) for _ in range(images_of(study))]
        paths = tuple(f"{study}/{place}.png" for place, study in enumerate(studies))
        patients = tuple(study.replace("/s", "/p") for study in studies)
        made.store.save_image_list(
            "d" * 16, "XR_HAND", split, ImageList(paths, patients, tuple(studies), np.array(label))
        )


def test_the_card_is_of_the_model_that_predict_takes(hand: StoreMaker) -> None:
    for forgotten in (2, 4, 3):  # the best first
        found = chosen_of(hand)
        assert found.row["model_name"] == choose(hand.url, "XR_HAND", None).name
        assert found.predicted
        assert "--part XR_HAND` uses this model." in card_of(hand)
        set_path(hand, forgotten, None)


def test_a_model_behind_trials_without_file_says_its_rank(hand: StoreMaker) -> None:
    assert chosen_of(hand).row["rank"] == 1
    set_path(hand, 2, None)

    assert chosen_of(hand).row["trial"] == 3
    assert "It is number 2 of 4 finished trials of this part, ranked by valid_auc" in card_of(hand)
    assert "so too good" not in card_of(hand)  # the correction is the first trial's


def test_where_no_file_is_kept_the_first_is_told_and_that_it_cannot_predict(hand: StoreMaker) -> None:
    for trial in range(1, 5):
        set_path(hand, trial, None)

    assert chosen_of(hand).row["trial"] == 1
    assert "Its file was not kept" in card_of(hand)
    assert "| file | not kept |" in card_of(hand)


def test_where_predict_takes_an_equal_trial_the_card_says_so(made: StoreMaker, tmp_path: Path) -> None:
    made.images("XR_HAND", LABELS)
    earlier, later = made.search("earlier"), made.search("later")
    for search in (later, earlier):  # ranked by search, predicted by the order of trials
        keep(made, made.measure(search, 0, 0.8), tmp_path)

    assert chosen_of(made).row["search"] == "earlier"
    assert not chosen_of(made).predicted
    assert "uses another model than this one" in card_of(made)


def test_figures_are_those_of_the_leaderboard(hand: StoreMaker) -> None:
    row = hand.trials().set_index("trial_id").loc[2]

    table = figures_table(chosen_of(hand)).set_index("split")

    for split in ("test", "valid"):
        expected = f"{row[f'{split}_auc']:.2f} ({row[f'{split}_auc_low']:.2f}-{row[f'{split}_auc_high']:.2f})"
        assert table.loc[split, "AUC"] == expected
        found, abnormal = map(int, table.loc[split, "abnormal found"].split(" of "))
        assert found / abnormal == pytest.approx(row[f"{split}_sensitivity"])
        passed, normal = map(int, table.loc[split, "normal passed"].split(" of "))
        assert passed / normal == pytest.approx(row[f"{split}_specificity"])


def test_all_settings_of_the_model_are_told(hand: StoreMaker) -> None:
    told = details_table(chosen_of(hand)).set_index("what")["value"]

    assert told.loc[["lr", "conv_dropout", "callbacks_patience"]].tolist() == ["0.001", "0.2", "6"]
    assert told.loc[["architecture", "frozen", "augmentation", "weights at the start"]].tolist() == [
        "net", "all", "no", "random",
    ]  # fmt: skip
    assert told.loc[["data hash", "code version", "seed", "search"]].tolist() == [
        "d" * 16,
        "0.1.0",
        "3",
        "hand, trial 1",
    ]
    assert told["input"] == "grey image, 64 x 64 px"


def test_groups_by_number_of_images_have_scikit_learns_figures(made: StoreMaker) -> None:
    several_images(made, lambda study: 1 + study // 40, {split: [0, 1] * 60 for split in ("valid", "test")})
    made.measure(made.search(), 0, 0.4)
    probability, images = made.store.probabilities(1, "test"), made.store.image_list("d" * 16, "XR_HAND", "test")
    assert probability is not None
    cases = study_cases(images, probability)

    table = groups_table(chosen_of(made))
    on_test = table[table["split"] == "test"].set_index("group")

    assert on_test["studies"].to_dict() == {"all": 120, "1 image": 40, "2 images": 40, "3 images": 40}
    for place, group in enumerate(("1 image", "2 images", "3 images")):
        own = slice(40 * place, 40 * place + 40)
        label, score = cases.labels[own], cases.probability[own, 0]
        assert on_test.loc[group, "AUC"].startswith(f"{roc_auc_score(label, score):.2f} (")
        assert on_test.loc[group, "sensitivity"].startswith(f"{recall_score(label, score > 0.5):.2f} (")


def test_groups_of_few_patients_have_counts_and_no_claim(made: StoreMaker) -> None:
    several_images(made, lambda study: 2 if study < 30 else 5, {split: [0, 1] * 24 for split in ("valid", "test")})
    made.measure(made.search(), 0, 0.4)

    table = groups_table(chosen_of(made)).set_index(["split", "group"])

    assert table.loc[("test", "4 or more images"), "patients normal / abnormal"] == "9 / 9"
    assert table.loc[("test", "4 or more images"), ["AUC", "sensitivity"]].tolist() == [TOO_FEW, ""]
    assert TOO_FEW not in table.loc[("test", "2 images")].tolist()


def surveyed_like(images: Mapping[str, ImageList], sides: Callable[[int], int]) -> pd.DataFrame:
    """What a survey says of XR_HAND's images, each as wide and high as `sides` says of its study."""
    rows = [
        {"path": path, "part": "XR_HAND", "split": split, "label": label, "digest": path}
        | {"width": sides(int(study)), "height": sides(int(study))}
        for split, of in images.items()
        for path, label, study in zip(of.paths, of.labels, of.study_numbers, strict=True)
    ]
    return pd.DataFrame(rows)


NO_LEAKS = duplicates_table([])


def searched_and_surveyed(made: StoreMaker, sides: Callable[[int], int]) -> pd.DataFrame:
    """A trial of 90 studies a split with two images each, and the survey of these images."""
    several_images(made, lambda study: 2, {split: [0, 1] * 45 for split in ("train", "valid", "test")})
    images = {split: made.store.image_list("d" * 16, "XR_HAND", split) for split in ("train", "valid", "test")}
    surveyed = surveyed_like(images, sides)
    data_hash = task_hash(surveyed, "XR_HAND")
    for split, of in images.items():
        made.store.save_image_list(data_hash, "XR_HAND", split, of)
    made.measure(made.search(data_hash=data_hash), 0, 0.4)
    return surveyed


def test_groups_by_size_are_thirds_of_train_where_the_images_are_the_searched_ones(made: StoreMaker) -> None:
    surveyed = searched_and_surveyed(made, lambda study: (100, 200, 300)[study // 30])
    chosen = chosen_of(made, looked=Looked(surveyed, NO_LEAKS))

    table = groups_table(chosen).set_index(["split", "group"])["studies"]["test"]

    assert table[1:].to_dict() == {
        "at most 10,000 px an image": 30,
        "above 10,000, at most 40,000 px an image": 30,
        "above 40,000 px an image": 30,
    }
    assert "By image size: results are given below, by the mean pixels" in card_text(chosen)
    others = chosen_of(made, looked=Looked(surveyed.assign(digest="another"), NO_LEAKS))
    assert "By image size: not known" in card_text(others)


def test_a_grouping_with_one_group_is_left_out_and_said_to_be_alike(made: StoreMaker) -> None:
    chosen = chosen_of(made, looked=Looked(searched_and_surveyed(made, lambda study: 100), NO_LEAKS))

    assert groups_table(chosen)["group"].tolist() == ["all", "all"]
    card = card_text(chosen)
    assert "By image size: the studies of test and valid are alike (at most 10,000 px an image)" in card
    assert "By number of images in the study: the studies of test and valid are alike (2 images)" in card


def leak_between(*paths: str, splits: tuple[str, ...], kind: str = NEAR) -> Duplicate:
    return Duplicate(kind, tuple(sorted(paths)), splits, ("p1", "p2"), ("normal",), 2, 0.99)


def test_leaks_between_the_splits_of_the_models_images_are_counted(made: StoreMaker) -> None:
    surveyed = searched_and_surveyed(made, lambda study: 100)
    scanned = pd.DataFrame({"path": ["train/s/0.png", "test/s000/0.png"], "patient": "p1", "label": 0})
    found = [
        leak_between("train/s000/0.png", "test/s000/1.png", splits=("train", "test")),
        leak_between("train/s001/2.png", "valid/s001/3.png", "valid/s002/4.png", splits=("train", "valid"), kind=EXACT),
        leak_between("train/s002/4.png", "train/s003/6.png", splits=("train",)),
        leak_between("train/XR_WRIST/0.png", "test/s000/0.png", splits=("train", "test")),
    ]
    leaks = pd.concat([patients_in_both(scanned, ["p1"]), duplicates_table(found)])

    card = card_text(chosen_of(made, looked=Looked(surveyed, leaks)))
    clean = card_text(chosen_of(made, looked=Looked(surveyed, NO_LEAKS)))

    told = "Leaks found between the splits, equal images or near duplicates: 2 (tables/leaks.csv of the report)"
    assert f"by patient name and over all body parts together. {told}" in card
    assert f"\n- {told}" in card
    assert "No image was found in two, exactly or nearly." in clean
    assert "Leaks" not in clean


def test_paths_with_equals_signs_are_told_apart_in_leaks(made: StoreMaker) -> None:
    paths = {"train": "train/a = b.png", "valid": "valid/c = d.png"}
    for split, path in paths.items():
        names = (path, f"{split}/other.png")
        made.store.save_image_list("d" * 16, "XR_HAND", split, ImageList(names, names, names, np.array([0, 1])))
    images = {split: made.store.image_list("d" * 16, "XR_HAND", split) for split in paths}
    surveyed = surveyed_like(images, lambda study: 100)
    data_hash = task_hash(surveyed, "XR_HAND")
    for split, of in images.items():
        made.store.save_image_list(data_hash, "XR_HAND", split, of)
    scores = np.array([[0.3], [0.6]], np.float32)
    made.finish(made.search(data_hash=data_hash), 0, valid_auc=1.0, probabilities={"valid": scores})
    leaks = duplicates_table([leak_between(*paths.values(), splits=("train", "valid"))])

    assert chosen_of(made, looked=Looked(surveyed, leaks)).leaks == 1


def test_a_built_report_with_data_puts_its_leaks_on_the_card(
    made: StoreMaker, tmp_path: Path, command: Callable[..., Ended]
) -> None:
    data = draw_dataset(tmp_path / "drawn", LEAST_PATIENTS)
    learned, tested = (sorted((data / split / "XR_HAND").rglob("*.png"))[0] for split in ("train", "valid"))
    tested.write_bytes(learned.read_bytes())
    dataset = decode_images(list_images(data, "XR_HAND"), PixelStore(tmp_path / "pixels"), [32])
    for split in ("train", "valid", "test"):
        for data_hash in (dataset.data_hash, "d" * 16):
            made.store.save_image_list(data_hash, "XR_HAND", split, image_list(dataset, split))
    made.measure(made.search(data_hash=dataset.data_hash), 0, 1.0)

    ended = command("build", "--out", tmp_path / "out", "--store", made.url, "--data", data)

    assert (ended.code, ended.err) == (0, "")
    card = (tmp_path / "out" / "cards" / "model_card_XR_HAND.md").read_text(encoding="utf-8")
    assert "\n- Leaks found between the splits, equal images or near duplicates: 1 (" in card


def test_cards_are_made_again_only_where_their_part_changed(hand: StoreMaker) -> None:
    recall, judge = Recall(), judged_by(hand.store)

    def texts() -> dict[str, str]:
        trials = hand.trials()
        return card_files(hand.store, trials, hand.store.searches(), judge, file_names(trials), recall)

    before = texts()
    again = texts()
    hand.measure(hand.search("another"), 0, 2.0)
    changed = texts()

    assert all(again[name] is before[name] for name in before)
    assert "another, trial 0" not in before["cards/model_card_XR_HAND.md"]
    assert "5 finished trials" in changed["cards/model_card_XR_HAND.md"]


def test_of_all_parts_each_part_has_its_own_row(made: StoreMaker) -> None:
    labels = list(range(14)) * 12
    made.images(ALL_PARTS, dict.fromkeys(("train", "valid", "test"), labels))
    made.measure(made.search("all", ALL_PARTS), 0, 1.0, ALL_PARTS)
    probability = made.store.probabilities(1, "test")
    assert probability is not None

    table = groups_table(chosen_of(made, ALL_PARTS)).set_index(["split", "group"])

    for place, part in enumerate(CLASS_PARTS):
        own = np.array(labels) % 7 == place
        assert table.loc[("test", part), "studies"] == 24
        expected = roc_auc_score(np.array(labels)[own] >= 7, probability[own, 7:].sum(axis=1))
        assert table.loc[("test", part), "AUC"].startswith(f"{expected:.2f} (")
    card = card_of(made, ALL_PARTS)
    assert "which of seven body parts" in card
    assert "kappa, accuracy and Brier score (here 0 to 2) are over 14 classes" in card
    assert "All asks only whether abnormal; the Brier score over 14 classes, above, is another." in card


def test_data_are_counted_by_split(made: StoreMaker) -> None:
    several_images(made, lambda study: study + 1, {"train": [0, 0, 1], "valid": [0, 1, 1, 0, 1], "test": [1, 0]})
    made.measure(made.search(), 0, 2.0)

    table = splits_table(chosen_of(made)).set_index("split")

    assert table["images"].to_dict() == {"train": 6, "valid": 15, "test": 3}
    assert table["abnormal studies"].to_dict() == {"train": 1, "valid": 3, "test": 1}
    assert table.iloc[:, -1].to_dict() == {"train": "1 / 1 / 1 / 0", "valid": "1 / 1 / 1 / 2", "test": "1 / 1 / 0 / 0"}


def test_mistakes_are_the_surest_first(hand: StoreMaker) -> None:
    probability = hand.store.probabilities(2, "test")
    assert probability is not None
    label, score = np.array(LABELS["test"]), probability[:, 0].astype(float)
    wrong = pd.Series(np.abs(score - 0.5), [f"test{number}" for number in range(len(label))])[(score > 0.5) != label]

    table = mistakes_table(chosen_of(hand))

    assert table["study"].tolist() == wrong.sort_values(ascending=False).index[:5].tolist()
    assert f"At P = 0.5, {len(wrong)} of 50 test studies are called wrongly" in card_of(hand)


def test_luck_of_choice_and_seed_are_told(hand: StoreMaker) -> None:
    assert "under one seed only" in card_of(hand)
    confirming = hand.search("hand-confirm", kind=CONFIRM, settings={"confirms": "hand"})
    hand.measure(confirming, 0, 1.0)
    sure = chosen_of(hand).sure
    assert sure is not None
    assert sure.corrected is not None

    card = card_of(hand)

    assert f"is the best of 4 and so too good: {sure.corrected.value:.2f} (" in card
    assert "The luck of the best epoch and of the sampler, on the same patients, is still in it." in card
    assert "Trained again under other seeds, on the same valid patients that chose it, it reached AUC" in card
    assert "a single training that finished, which shows no spread." in card

    hand.measure(confirming, 1, 1.0)
    card = card_of(hand)

    assert "mean ± standard deviation (trainings). That takes off the luck of the seed alone." in card
    assert "no spread" not in card


def test_where_all_trainings_under_other_seeds_failed_that_is_told(hand: StoreMaker) -> None:
    confirming = hand.search("hand-confirm", kind=CONFIRM, settings={"confirms": "hand"})
    hand.finish(confirming, 0, state=FAILED)
    assert "Its one training under another seed failed; the luck of the seed is in no interval here." in card_of(hand)
    hand.finish(confirming, 1, state=FAILED)

    card = card_of(hand)

    assert "All 2 trainings under other seeds failed; the luck of the seed is in no interval here." in card
    assert "it reached AUC" not in card


def test_trials_of_other_data_before_it_do_not_hide_its_own_rivals(hand: StoreMaker) -> None:
    hand.images("XR_HAND", LABELS, data_hash="e" * 16)
    hand.measure(hand.search("other data", data_hash="e" * 16), 0, 3.0)  # better, not kept

    found = chosen_of(hand)

    assert (found.row["trial"], found.row["rank"]) == (1, 2)
    assert found.sure is not None
    assert sorted(found.sure.trial_ids) == [1, 2, 3, 4]
    assert "4 compared trials could truly be the best" in card_of(hand)
    assert "could not be compared" not in card_of(hand)


def test_luck_too_small_to_show_is_not_called_too_good(made: StoreMaker) -> None:
    made.images("XR_HAND", LABELS)
    search = made.search()
    for number, strength in enumerate((50.0, 1.0)):  # the first is right in all draws
        made.measure(search, number, strength)

    card = card_of(made)

    assert "Its valid_auc, 1.00, is the best of 2; it is the same in all draws" in card
    assert "too good:" not in card
    assert "without them is the same in all draws: the bootstrap cannot tell how sure it is." in card


def test_the_brier_scores_parts_are_said_not_to_add_up_to_it(hand: StoreMaker) -> None:
    assert "is the Brier score of the bins' mean probabilities, not of the studies' own" in card_of(hand)


def test_a_lone_trial_is_called_the_only_one(made: StoreMaker) -> None:
    made.images("XR_HAND", LABELS)
    made.measure(made.search(), 0, 1.0)

    assert "It is the only finished trial of this part." in card_of(made)


def test_what_the_store_does_not_know_is_said(hand: StoreMaker) -> None:
    card = card_of(hand)

    for told in ("Research use, not a medical device", "By image size: not known", "age, sex", "of another hospital"):
        assert told in card
    assert "left out, with reasons in the report: 1 images, studies or rows" in card
    assert "Few patients make wide intervals: valid 60, test 50." in card
    assert "/somewhere" not in card


def test_only_searches_have_cards(made: StoreMaker) -> None:
    assert files_of(made) == {}
    made.finish(made.search("file", None, kind=IMPORT), 0, part="XR_WRIST")
    made.start(made.search("running"), 0)

    assert files_of(made) == {}


def test_without_test_probabilities_valid_alone_is_told(made: StoreMaker) -> None:
    made.images("XR_HAND", {"valid": [0, 1] * 20})
    scores = np.tile([[0.3], [0.6]], (20, 1)).astype(np.float32)
    made.finish(made.search(), 0, valid_auc=1.0, probabilities={"valid": scores})

    assert figures_table(chosen_of(made))["split"].tolist() == ["valid"]
    assert "no test probabilities with both labels" in card_of(made)
    assert "luck cannot be taken off" in card_of(made)


def test_hostile_names_stay_text_in_both_documents(made: StoreMaker, tmp_path: Path) -> None:
    for number, name in enumerate(HOSTILE):
        part = f"{number}{name}"[:20]
        for split in ("train", "valid", "test"):
            names = tuple(f"{name}{image}" for image in range(40))
            labels = np.arange(40) % 2
            made.store.save_image_list("d" * 16, part, split, ImageList(names, names, names, labels))
        search = made.search(
            f"{number}{name}", part, details={"data": f"/x/{name}"}, settings={"sampler": name, "views": name}
        )
        keep(made, made.measure(search, 0, 0.3, part, name=name, architecture=name), tmp_path)

    files = files_of(made)

    assert len(files) == 2 * len(HOSTILE)
    for name, text in files.items():
        page = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
        assert name.split("/")[1].isascii()
        assert "<script" not in page
        assert "<em>y</em>" not in page
        assert 'href="u"' not in page
        assert all(line.isprintable() for line in text.split("\n"))
        rows = [line for line in text.split("\n") if line.startswith("| ")]
        assert all(line.endswith(" |") for line in rows)
