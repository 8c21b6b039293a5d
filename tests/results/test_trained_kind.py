"""Whether features are of the kind that a model was trained on."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from results.card import add_card, read_card
from results.trained_kind import (
    FEATURES,
    MOST_KEPT,
    NEIGHBOUR,
    TrainedKind,
    add_trained_kind,
    distances,
    fit_trained_kind,
    in_card,
    kept_rows,
    read_trained_kind,
)

CARD = {"task": "XR_HAND", "search": "s", "data_hash": "0", "temperature": 1.5, "thresholds": {}}


def bundle(rows: int, seed: int, direction: int = 0) -> np.ndarray:
    """Features (rows, 16) about one direction, of many lengths."""
    generator = np.random.default_rng(seed)
    about = generator.normal(0, 0.2, (rows, 16))
    about[:, direction] += 1
    return np.asarray(about * generator.uniform(0.1, 30, (rows, 1)), np.float32)


def test_the_distance_is_that_to_the_fifth_nearest_by_scikit_learn() -> None:
    train, asked = bundle(60, 0), bundle(9, 1, direction=3)
    expected, _ = NearestNeighbors(n_neighbors=NEIGHBOUR, metric="cosine").fit(train).kneighbors(asked)
    found = distances(fit_trained_kind(train, train), asked)
    assert found == pytest.approx(expected[:, -1], abs=2e-3)  # train is kept in half precision


def test_a_twentieth_of_valid_lies_beyond_and_what_points_elsewhere_does() -> None:
    valid = bundle(200, 1)
    kind = fit_trained_kind(bundle(300, 0), valid)
    assert np.count_nonzero(distances(kind, valid) > kind.threshold) == pytest.approx(10, abs=1)
    assert (distances(kind, bundle(200, 2)) > kind.threshold).mean() < 0.15
    assert (distances(kind, bundle(200, 3, direction=5)) > kind.threshold).all()


def test_brightness_alone_makes_nothing_strange() -> None:
    kind = fit_trained_kind(bundle(60, 0), bundle(40, 1))
    asked = bundle(5, 2)
    assert distances(kind, 100 * asked) == pytest.approx(distances(kind, asked), abs=1e-6)


def test_features_of_nothing_lie_at_one_from_all() -> None:
    assert distances(fit_trained_kind(bundle(60, 0), bundle(40, 1)), np.zeros((2, 16))).tolist() == [1, 1]


def test_fewer_images_than_neighbours_are_asked_for_the_farthest() -> None:
    train = bundle(3, 0)
    kind = fit_trained_kind(train, train)
    nearest = NearestNeighbors(n_neighbors=3, metric="cosine").fit(train).kneighbors(train)[0]
    assert distances(kind, train) == pytest.approx(nearest[:, -1], abs=2e-3)


def test_of_many_images_some_are_drawn_the_same_each_time() -> None:
    assert kept_rows(MOST_KEPT).tolist() == list(range(MOST_KEPT))
    drawn = kept_rows(5 * MOST_KEPT)
    assert len(set(drawn.tolist())) == MOST_KEPT
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() == kept_rows(5 * MOST_KEPT).tolist()
    assert drawn.mean() == pytest.approx(2.5 * MOST_KEPT, rel=0.05)


def kept(path: Path) -> TrainedKind:
    """A file such as a model's, and what it holds."""
    kind = fit_trained_kind(bundle(60, 0), bundle(40, 1))
    add_trained_kind(path, kind)
    add_card(path, {**CARD, **in_card(kind)})
    return kind


def test_a_file_gives_back_what_was_put_in(tmp_path: Path) -> None:
    kind, found = kept(tmp_path / "m.keras"), read_trained_kind(tmp_path / "m.keras")
    assert found is not None
    assert (found.features == kind.features).all()
    assert found.threshold == kind.threshold
    kept(tmp_path / "again.keras")
    assert (tmp_path / "again.keras").read_bytes() == (tmp_path / "m.keras").read_bytes()
    assert read_card(tmp_path / "m.keras")["trained_kind"]["threshold"] == kind.threshold


def test_a_file_without_it_tells_of_nothing(tmp_path: Path) -> None:
    add_card(tmp_path / "m.keras", {"model": "m"})
    assert read_trained_kind(tmp_path / "m.keras") is None


@pytest.mark.parametrize("content", [b"", b"no array", b"pickled"])
def test_a_damaged_one_is_refused_and_nothing_is_unpickled(content: bytes, tmp_path: Path) -> None:
    if content == b"pickled":
        np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        content = (tmp_path / "objects.npy").read_bytes()
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr(FEATURES, content)
        file.writestr("card.json", '{"trained_kind": {"threshold": 0.5}}')
    with pytest.raises((ValueError, EOFError)):
        read_trained_kind(tmp_path / "m.keras")
