"""What the default search finds on real radiographs, on test patients, beside a plain logistic regression.

    python -m benchmarks.winner [--part XR_HAND]... [--trials 30] [--repeat 3] [--work DIR]

For each part and each of several search seeds: `search.run` with its defaults (efficientnet_lite0, native size), the
trial that is best on valid, the ensemble of its kept models, and how far the temperatures, fitted on valid's images,
make test's probabilities mean what they say. The rival is scikit-learn's logistic regression on the frozen features
that the search's heads train on: the same train images, without augmentation, each feature brought to mean 0 and
deviation 1, with C = 1 and with the C that is best on valid. All are measured on the same bootstrap draws of test
patients. A search that the work folder holds is not run again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import RADIOGRAPHS, REPOSITORY, run, save
from plumbing.seeds import generator_of
from predict.chosen import choose
from results.ensemble_trial import make_ensemble
from results.evaluation import all_metrics, calibrated, image_cases, plain_metrics, study_cases
from results.intervals import patient_weights, percentile_intervals
from results.metrics import Floats
from results.records import EXPECTED_AUC, MEMBERS, SPLITS, ImageList, Trial
from results.reliability import chance_calibration_error, expected_calibration_error
from results.store import Store
from search.options import parse
from search.plan import make_plan
from search.preparation import prepare
from spaces import architecture_named

PARTS = ("XR_HAND", "XR_HUMERUS")  # XR_SHOULDER has too few abnormal patients to be searched
ARCHITECTURE = "efficientnet_lite0"
KEPT, MOST, NAME = 20, 20, "together"  # models that an ensemble may be made of, its picks, its name
LEVELS = {"study": study_cases, "image": image_cases}
STRENGTHS = tuple(10.0**power for power in range(-6, 3))  # C, among equals on valid the smallest
SEARCHED, TOGETHER, PLAIN, TUNED = "search", "ensemble", "logistic regression, C = 1", "logistic regression, C by valid"


@dataclass(frozen=True)
class Features:
    """Pooled features of the frozen backbone.

    Attributes:
        of: split -> (images, features). lists: split -> its images, in that order.
    """

    of: Mapping[str, NDArray[np.float32]]
    lists: Mapping[str, ImageList]


@dataclass(frozen=True)
class Found:
    """A classifier's raw probabilities (images, 1) of test, the temperature fitted on valid, and what it is."""

    test: NDArray[Any]
    temperature: float | None
    told: Mapping[str, Any]


def main() -> None:
    """Search, measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable; default: both")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=3, help="search seeds, from 0")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "winner", help="where searches are kept")
    options = parser.parse_args()
    parts = options.part or PARTS
    save("winner", {part: measured(part, options.trials, options.repeat, options.work.resolve()) for part in parts})


def measured(part: str, trials: int, repeat: int, work: Path) -> dict[str, Any]:
    """All figures of a part."""
    searches = [arguments(part, trials, seed, work) for seed in range(repeat)]
    for given in searches:
        print(run(["-m", "search.run", *given]).told, file=sys.stderr)
    features = features_of(searches[0])
    rivals, test = regressions(features), features.lists["test"]
    found = [outcome(part, url_of(part, seed, work)) for seed in range(repeat)]
    return {
        "test": {"studies": len(set(test.studies)), "images": len(test.labels), "abnormal": int(test.labels.sum())},
        **{name: {**one.told, "AUC": areas(test, [one])} for name, one in rivals.items()},
        **{
            f"seed {seed}": {name: of_one(test, one, rivals) for name, one in of_seed.items()}
            for seed, of_seed in enumerate(found)
        },
        "mean of seeds": compared(test, [of_seed[SEARCHED] for of_seed in found], rivals),
    }


def url_of(part: str, seed: int, work: Path) -> str:
    """Of a search's store: one each, so that an ensemble is of one search."""
    return f"sqlite:///{work / f'{part}-{seed}.db'}"


def arguments(part: str, trials: int, seed: int, work: Path) -> list[str]:
    """Of `search.run`: what is left out is the default."""
    given = {
        "--part": part,
        "--trials": trials,
        "--data": RADIOGRAPHS,
        "--architecture": ARCHITECTURE,
        "--seed": seed,
        "--keep-models": KEPT,
        "--name": f"{part}-{seed}",
        "--store": url_of(part, seed, work),
        "--runs": work / "runs",
    }
    return [str(each) for option in given.items() for each in option]


def features_of(given: Sequence[str]) -> Features:
    """Those of a finished search, of which all but train's without augmentation must be there; views left alone."""
    with prepare(make_plan(parse(given)), "") as searched:
        inputs = searched.setting.source.inputs(architecture_named(ARCHITECTURE), {"frozen": "all"})
        return Features({split: np.array(inputs.get(split)) for split in SPLITS}, dict(searched.setting.lists))


def regressions(features: Features) -> dict[str, Found]:
    """The logistic regression with C = 1, and with the C of the best AUC on valid's studies."""
    of_valid = {}
    for strength in STRENGTHS:
        valid = study_cases(features.lists["valid"], regression(features, strength, "valid"))
        of_valid[strength] = plain_metrics(valid, ["auc"])["auc"]
    best = max(STRENGTHS, key=lambda strength: (of_valid[strength], -strength))
    return {
        name: Found(regression(features, strength, "test"), None, {"C": strength, "valid AUC": of_valid[strength]})
        for name, strength in ((PLAIN, 1.0), (TUNED, best))
    }


def regression(features: Features, strength: float, split: str) -> Floats:
    """P(abnormal) (images, 1) of a split by scikit-learn's logistic regression, trained on train."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=10_000))
    model.fit(features.of["train"], features.lists["train"].labels)
    return np.asarray(model.predict_proba(features.of[split])[:, 1:], np.float64)


def outcome(part: str, url: str) -> dict[str, Found]:
    """The search's best trial, and the ensemble, which there is only where one is better on valid."""
    store = Store.open(url)
    try:
        make_ensemble(store, part, MOST, NAME, "")
        trials = {str(trial.model_name): trial for trial in store.trials()}
        names = {SEARCHED: choose(url, part, None).name, TOGETHER: NAME}
        return {
            shown: classifier(store, trials[name], choose(url, part, name).temperature)
            for shown, name in names.items()
            if name in trials
        }
    finally:
        store.close()


def classifier(store: Store, trial: Trial, temperature: float) -> Found:
    """A stored trial."""
    test = store.probabilities(trial.id, "test")
    if test is None:
        sys.exit(f"the store holds no test probabilities of {trial.model_name}; remove it and search again")
    measures = {(each.split, each.metric): each for trial_id, each in store.measures("study") if trial_id == trial.id}
    told: dict[str, Any] = {
        f"{split} AUC stored": [each.value, each.low, each.high]
        for split in ("valid", "test")
        if (each := measures[split, "auc"])
    }
    if (expected := measures.get(("valid", EXPECTED_AUC))) is not None:
        told["AUC expected on other patients"] = [expected.value, expected.low, expected.high]
    if members := trial.configuration.get(MEMBERS):
        told["members"] = {f"trial {each['trial']}": each["picks"] for each in members}
    else:
        told |= {"trial": trial.number, "configuration": dict(trial.configuration)}
    return Found(test, temperature, told)


def of_one(test: ImageList, one: Found, rivals: Mapping[str, Found]) -> dict[str, Any]:
    """A classifier's figures."""
    return {**one.told, **compared(test, [one], rivals), "calibration": calibration(test, one)}


def compared(test: ImageList, found: Sequence[Found], rivals: Mapping[str, Found]) -> dict[str, Any]:
    """The AUC, that of several being their AUCs' mean, and how far above each rival's it is."""
    above = {name: areas(test, found, rival) for name, rival in rivals.items()}
    return {"AUC": areas(test, found), **{f"AUC above {name}": each for name, each in above.items()}}


def areas(test: ImageList, found: Sequence[Found], rival: Found | None = None) -> dict[str, list[float]]:
    """Level -> the mean AUC, less the rival's, with its 95 % patient bootstrap interval."""
    told = {}
    for level, cases_of in LEVELS.items():
        cases = [cases_of(test, one.test) for one in found]
        weights = np.concatenate(
            [np.ones((1, len(cases[0].labels))), patient_weights(cases[0].patients, cases[0].labels)]
        )
        values = np.mean([all_metrics(each, weights, ["auc"])["auc"] for each in cases], axis=0)
        if rival is not None:
            values = values - all_metrics(cases_of(test, rival.test), weights, ["auc"])["auc"]
        told[level] = with_interval(values)
    return told


def with_interval(values: Floats) -> list[float]:
    """The first value, with the central 95 % of the others."""
    (interval,) = percentile_intervals(values[None, 1:])
    return [round(float(each), 4) for each in (values[0], *(interval or ()))]


def calibration(test: ImageList, one: Found) -> dict[str, Any]:
    """Brier score and calibration error on test, by study and by image, before and after the temperature.

    The Brier score's change has its 95 % patient bootstrap interval. A calibration error is to be held against that of
    as many perfectly calibrated cases, which is not 0.
    """
    assert one.temperature is not None
    told: dict[str, Any] = {"temperature": round(one.temperature, 3)}
    for level, cases_of in LEVELS.items():
        before = cases_of(test, one.test)
        after = calibrated(before, one.temperature)
        weights = np.concatenate([np.ones((1, len(before.labels))), patient_weights(before.patients, before.labels)])
        brier = [all_metrics(each, weights, ["brier"])["brier"] for each in (before, after)]
        told[level] = {
            "Brier": [round(float(each[0]), 4) for each in brier],
            "Brier after less before": with_interval(brier[1] - brier[0]),
            "calibration error": [
                round(expected_calibration_error(each.labels, each.probability[:, 0]), 4) for each in (before, after)
            ],
            "calibration error by chance": [
                round(chance_calibration_error(each.probability[:, 0], generator_of("calibration")), 4)
                for each in (before, after)
            ],
        }
    return told


if __name__ == "__main__":
    main()
