"""Engines without a search: asked and told as the loop does, with objectives made up."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plumbing.seeds import generator_of
from results.records import FAILED, FINISHED, PRUNED, NewSearch, NewTrial, Trial
from results.store import Store
from search.engines import Engine, Proposal, Request
from spaces import architecture_named
from spaces.declaration import AtLeast, Choice, Configuration, Real, Space, Value, Whole
from spaces.narrowing import make_space

SEED = 7
SPACE = make_space([architecture_named("efficientnet_lite0"), architecture_named("base_cnn")], {}, cheap_cuts=True)
SMALL = Space(
    {"small": (Choice("a", (1, 2, 3), ordered=True), Whole("b", 0, 1), Whole("c", 0, 1, when=AtLeast("b", 1)))}
)
# Few enough parameters for a Gaussian process to be quick.
FEW = Space({"few": (Real("lr", 1e-5, 1e-1, log=True), Choice("units", (0, 64, 128), ordered=True))})
EPOCHS = 9


def stored_trial(folder: Path) -> Trial:
    """A stored trial, to make others like it."""
    store = Store.open(f"sqlite:///{folder / 'pattern.db'}", create=True)
    search = store.create_search(NewSearch("s", "search", "optuna", "v"))
    texts = dict.fromkeys(("part_body", "architecture", "name_code", "model_name", "weights", "code_version"), "x")
    numbers = dict.fromkeys(("number", "image_size", "seed", "fit_epochs"), 0)
    trial = store.start_trial(search.id, NewTrial(configuration={}, **texts, **numbers))  # type: ignore[arg-type]
    store.close()
    return trial


def request_of(folder: Path, sampler: str, batch_trials: int = 4, name: str = "one", **more: Any) -> Request:
    """What an engine is made for, its files and database in the folder."""
    given = {"space": SPACE, "pruner": "none", "objective": "val_auc", "search_seed": SEED, "epochs": EPOCHS} | more
    url = f"sqlite:///{folder / 'results.db'}"
    return Request(
        url=url, folder=folder, name=name, sampler=sampler, batch_trials=batch_trials, **({"fresh": False} | given)
    )


def curve_of(configuration: Configuration, epochs: int = EPOCHS) -> list[float]:
    """A learning curve of the configuration's own: it rises to a height that hangs on the learning rate."""
    rate = float(configuration.get("lr", 1e-3))
    height = 0.95 - abs(np.log10(rate) + 3) / 5
    noise = generator_of("noise", sorted(configuration.items())).random(epochs) / 20
    return [float(height * (1 - 0.6 ** (epoch + 1)) + noise[epoch]) for epoch in range(epochs)]


def ended(engine: Engine, pattern: Trial, proposal: Proposal, fails: bool = False) -> tuple[Trial, Sequence[float]]:
    """How the proposal's trial ends, its pruner asked after each epoch as training asks; and its objective by epoch."""
    trial = replace(pattern, number=proposal.number, configuration=proposal.configuration, id=proposal.number + 1)
    if fails:
        return replace(trial, state=FAILED, reason="nan"), []
    curve = curve_of(proposal.configuration, proposal.epochs or EPOCHS)
    for epochs in range(1, len(curve)):
        if engine.prunes(proposal.number, curve[:epochs]):
            return replace(trial, state=PRUNED, value=max(curve[:epochs])), curve[:epochs]
    return replace(trial, state=FINISHED, value=max(curve)), curve


def run(
    engine: Engine, pattern: Trial, trials: int, fails: Collection[int] = (), stored: Sequence[Proposal] = ()
) -> list[Proposal]:
    """Propose and tell until there are so many trials; all proposals.

    Args:
        fails: numbers of trials that fail. stored: proposals that were begun before.
    """
    begun: dict[int, dict[str, Value]] = {each.number: each.configuration for each in stored}
    found: list[Proposal] = []
    while batch := engine.propose(trials, begun):
        found += batch
        for proposal in batch:
            engine.tell(*ended(engine, pattern, proposal, proposal.number in fails))
    return found
