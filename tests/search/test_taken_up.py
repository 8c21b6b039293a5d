"""A trial that a kill left under way goes on from its last checkpoint, to the end of one that was left alone."""

from pathlib import Path

import pytest

from tests.search.conftest import Searcher, killed
from tests.search.kills import after_epoch

pytestmark = pytest.mark.slow

KEEP_EACH_EPOCH = """
import search.training.fitting as fitting
fitting.KEEP_SECONDS = 0.0
"""


def note_epochs(file: Path) -> str:
    """Writes down the epochs that are trained."""
    return f"""
import search.progress as progress
shown = progress.SearchProgress.after_epoch
def note(self, epoch, metrics):
    with open({str(file)!r}, "a") as noted:
        noted.write(f"{{epoch}} ")
    shown(self, epoch, metrics)
progress.SearchProgress.after_epoch = note
"""


@pytest.mark.parametrize("frozen", ["all", "below_last_block"])
@pytest.mark.parametrize("pruner", ["none", "median"])
def test_killed_trial_goes_on_from_its_last_epoch_to_the_same_end(
    searcher: Searcher, other: Searcher, knowing: None, tmp_path: Path, frozen: str, pruner: str
) -> None:
    fixed = searcher.space(frozen=frozen, optimizer="adam", units=0, conv_dropout=0.25)
    more = ("--trials", 1, "--epochs", 5, "--space", fixed, "--pruner", pruner)
    assert other.apart(*more).code == 0

    assert killed(searcher.apart(*more, before=KEEP_EACH_EPOCH + after_epoch("e == 3")))
    resumed = searcher.apart(*more, before=note_epochs(tmp_path / "epochs"))
    assert resumed.code == 0, resumed.err
    assert (tmp_path / "epochs").read_text().split() == ["3", "4"]
    assert searcher.trials() == other.trials()
    assert searcher.models() == other.models()
    assert not list((searcher.runs / "checkpoints").rglob("*.npz"))


def test_checkpoint_of_another_search_of_the_same_name_is_passed_over(
    searcher: Searcher, other: Searcher, knowing: None, tmp_path: Path
) -> None:
    def fixed(lr: float) -> tuple[object, ...]:
        space = searcher.space(frozen="all", optimizer="adam", units=0, lr=lr)
        return ("--trials", 1, "--epochs", 4, "--space", space)

    assert other.apart(*fixed(0.002)).code == 0
    assert killed(searcher.apart(*fixed(0.001), before=KEEP_EACH_EPOCH + after_epoch("e == 3")))
    (searcher.folder / "results.db").unlink()
    assert killed(searcher.apart(*fixed(0.002), before=after_epoch("e == 1")))
    resumed = searcher.apart(*fixed(0.002), before=note_epochs(tmp_path / "epochs"))
    assert resumed.code == 0, resumed.err
    assert (tmp_path / "epochs").read_text().split() == ["0", "1", "2", "3"]
    assert searcher.trials() == other.trials()
