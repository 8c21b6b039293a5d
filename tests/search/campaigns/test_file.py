"""A campaign's file: what it asks for, and one line where it is wrong."""

import re
from pathlib import Path

import pytest

from tests.search.campaigning import Campaigner, RunCampaign
from tests.search.conftest import REPOSITORY, Searcher

HAND = "[[search]]\npart = 'XR_HAND'\n"


@pytest.mark.parametrize(
    ("searches", "told"),
    [
        ("", "it asks for no search; add a table [[search]]"),
        ("[search]\npart = 'XR_HAND'", "search must be tables, each headed [[search]] with two brackets"),
        ("[[search]]\npart = [", "not TOML: "),
        ("[[search]]\npart = 'KNEE'", "[[search]] 1 (KNEE-efficientnet_lite0-optuna): argument --part: invalid choice"),
        ("[[search]]\nengine = 'optuna'", "[[search]] 1: no part; give it there or in [defaults]"),
        ("[[search]]\npart = []", "[[search]] 1: part = [] makes no search"),
        ("[[search]]\npart = ['XR_HAND', 3.5, {a = 1}]", "part = {'a': 1}: give text, a number"),
        ("[[search]]\npart = ['XR_HAND', 'XR_HAND']", "-optuna is asked for twice in [[search]] 1; leave one out"),
        (f"{HAND}{HAND}seed = 1", "in [[search]] 1 and in [[search]] 2; leave one out, or give one [[search]] a label"),
        (f"{HAND}name = 'x'", "[[search]] 1: name cannot be given here: "),
        (f"{HAND}timeout = 9", "timeout cannot be given here: give `hours` in [budget]"),
        (f"{HAND}priority = 'high'", "priority = 'high' is no number; higher ones go first"),
        (f"{HAND}label = 1", "label = 1: give text"),
        (f"{HAND}engine = 'vizier'", "argument --engine: invalid choice: 'vizier'"),
        (f"{HAND}sampler = 'grid'", "(XR_HAND-efficientnet_lite0-optuna-grid): --sampler grid is not one of optuna's"),
    ],
)
def test_a_wrong_search_is_one_line_that_tells_place_and_mend(
    searcher: Searcher, run_campaign: RunCampaign, searches: str, told: str
) -> None:
    check_refused(Campaigner(searcher, searches), run_campaign, told)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("label", "x", "[defaults]: label tells searches apart; give it in a [[search]]"),
        ("image_size", 32, "image_size is no option of search.run; its --help lists them, here without the dashes"),
        ("feature-cache", True, "feature-cache is no option of search.run"),
        ("epochs", 0, "argument --epochs: 0 is below 1; give 1 or more"),
        ("epochs", "many", "argument --epochs: 'many' is not a whole number"),
        ("trials", 2.5, "trials = 2.5: give a whole number, 1 or more"),
        ("trials", True, "trials = True: give a whole number, 1 or more"),
        ("workers", "two", "argument --workers: 'two' is not a whole number"),
        ("architecture", "alexnet", "argument --architecture: invalid choice: 'alexnet'"),
        ("image-size", 16, "--image-size 16 is below efficientnet_lite0's least; give 32 or more"),
        ("weights", "/nowhere", "--weights /nowhere: no efficientnet_lite0.weights.h5 in it"),
        ("data", "/nowhere", "--data /nowhere: no such folder"),
        ("space", "/nowhere.toml", "--space /nowhere.toml: no such file"),
    ],
)
def test_a_wrong_default_is_one_line_that_tells_place_and_mend(
    searcher: Searcher, run_campaign: RunCampaign, key: str, value: object, told: str
) -> None:
    check_refused(Campaigner(searcher, **{key: value}), run_campaign, told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("top", "told"),
    [
        ("nmae = 'x'", "the file's top: no such key: nmae; give one of name, store, runs, report, budget"),
        ("name = '../up'", "name = '../up': give letters, digits, dot"),
        ("report = 3", "the file's top: report = 3: give text"),
        ("budget = 3", "budget must be a table, headed [budget]"),
        ("[budget]\ntrials = 3", "[budget]: trials = 3 leaves some of the 4 searches without any; give 4 or more"),
        ("[budget]\ntrials = 0", "[budget]: trials = 0: give a whole number, 1 or more"),
        ("[budget]\nhours = -1", "[budget]: hours = -1: give a number above 0"),
        ("[budget]\ndays = 1", "[budget]: no such key: days; give one of trials, hours, gpu-hours"),
    ],
)
def test_a_wrong_budget_or_top_is_one_line_that_tells_place_and_mend(
    searcher: Searcher, run_campaign: RunCampaign, top: str, told: str
) -> None:
    check_refused(Campaigner(searcher, top=top), run_campaign, told)


def check_refused(campaign: Campaigner, run_campaign: RunCampaign, told: str) -> None:
    before = sorted(campaign.file.parent.rglob("*"))
    ended = run_campaign(campaign.file)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith(f"search.campaign: {campaign.file}: ")
    assert told in line
    assert sorted(campaign.file.parent.rglob("*")) == before


def test_names_are_made_from_what_lists_hold_and_labels(searcher: Searcher, run_campaign: RunCampaign) -> None:
    searches = """
[[search]]
part = "XR_HAND"
architecture = ["base_cnn", ["base_cnn", "xception"]]
sampler = "random"
seed = [0, 1]
image-size = 96
label = "96/px"
[[search]]
part = ["XR_WRIST", "all_parts"]
priority = 1
"""
    ended = run_campaign(Campaigner(searcher, searches).file, "--explain")
    assert ended.code == 0, ended.err
    assert re.findall(r"^\d+\. (\S+):", ended.out, re.MULTILINE) == [
        "XR_WRIST-efficientnet_lite0-optuna",
        "all_parts-efficientnet_lite0-optuna",
        "XR_HAND-base_cnn-optuna-random-seed0-96_px",
        "XR_HAND-base_cnn-optuna-random-seed1-96_px",
        "XR_HAND-base_cnn.xception-optuna-random-seed0-96_px",
        "XR_HAND-base_cnn.xception-optuna-random-seed1-96_px",
    ]
    last = ended.out.splitlines()[-1]
    assert "--architecture base_cnn --architecture xception --image-size 96" in last


def test_the_example_asks_for_all_eight_tasks_and_the_published_architectures(
    run_campaign: RunCampaign, small_data: Path
) -> None:
    from radiographs.parts import TASKS

    ended = run_campaign(
        REPOSITORY / "docs" / "campaign.toml", "--data", small_data, "--store", "sqlite:///no.db", "--explain"
    )
    assert ended.code == 0, ended.err
    names = re.findall(r"^\d+\. (\S+):", ended.out, re.MULTILINE)
    published = ("base_cnn", "densenet121", "resnet152", "inception_v3", "xception")
    assert sorted(names) == sorted(f"{task}-{network}-optuna" for task in TASKS for network in published)
    assert not Path("no.db").exists()


def test_a_file_that_is_not_there_is_told(run_campaign: RunCampaign, tmp_path: Path) -> None:
    ended = run_campaign(tmp_path / "campaign.toml")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "campaign.toml: no such file; docs/campaign.toml is one" in ended.err
