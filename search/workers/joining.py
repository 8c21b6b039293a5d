"""How a worker joins a search that runs: by what the search's command wrote into the store.

A worker plans nothing: space, first configurations and way of proposing are the search's. What it sees for itself,
data, weights and code, must be the same.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plumbing
from plumbing.errors import StoreError, UsageError
from radiographs.dataset import list_images
from results import claims
from results.records import Search
from results.store import Store
from search.options import Options
from search.own_model import own_model
from search.plan import Plan, constraints_of, data_folder
from spaces import architecture_named
from spaces.declaration import Space
from spaces.weights import RANDOM, weights_of

# What decides a trial's numbers besides our own code.
LIBRARIES = ("tensorflow", "keras", "numpy", "optuna", "keras-tuner", "onnxruntime", "numba", "opencv-python-headless")
FOLDERS = ("plumbing", "radiographs", "spaces", "features", "search", "results")
MOST_SKEW = 600.0  # seconds that a machine's clock may be apart from the database's


@dataclass(frozen=True)
class Joining:
    """How a worker joins.

    Attributes:
        quiet: it tells of no trial. patience: seconds of silence after which others take over what it has under way.
        label: by which the command that began it knows it. begin_at: the share of a view's batches after which it
            begins to extract.
    """

    quiet: bool
    patience: float
    label: str | None = None
    begin_at: float = 0.0


def run_of(options: Options) -> dict[str, Any]:
    """What the store is told of a command, so that workers can join what it runs."""
    told = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
    del told["store"]  # it may hold a password, and a worker has its own way there
    return {"options": told, "code": code_digest()}


def options_of(search: Search, store: str, given: Mapping[str, Any]) -> Options:
    """The options of the search's last command, those of this machine in their place.

    Args:
        given: data, runs, weights, timeout: None where the command's are good here.
    Raises: StoreError where nothing was told of the command; UsageError where this worker's code is another.
    """
    run = search.run
    if run is None:
        raise StoreError(f"--name {search.name}: no search that workers can join; start it once by search.run")
    if run["code"] != code_digest():
        raise UsageError(
            f"search {search.name} runs with other code than this worker's ({run['code']}, here {code_digest()}); "
            "install the same version of this program and of requirements.txt on all machines"
        )
    told: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in run["options"].items()
    }
    told |= {name: value for name, value in given.items() if value is not None}
    told |= {name: Path(told[name]) if told[name] is not None else None for name in ("runs", "space")}
    told |= {"store": store, "explain": False, "confirm": 0}
    return Options(**told)


def plan_of(options: Options, search: Search) -> Plan:
    """The search as it runs.

    Raises: UserError where this machine lacks its data, weights or model.
    """
    settings = search.settings
    image_size = {str(name): int(size) for name, size in settings["image size"].items()}
    own = own_model(options.hypermodel) if options.hypermodel else None
    architectures = () if own else tuple(architecture_named(name) for name in image_size)
    weights = {each.name: weights_of(each, options.weights) for each in architectures}
    return Plan(
        options=options,
        listed=list_images(data_folder(options), options.part),
        architectures=architectures,
        space=Space.from_json(settings["space"]),
        image_size=image_size,
        weights={own.name: RANDOM} if own else weights,
        enqueued=settings["enqueued configurations"],
        constraints=constraints_of(options, image_size, search),
        known=search,
        own_model=own,
    )


def check_clock(store: Store, here: float | None = None) -> None:
    """Refuse a machine whose clock is far from the database's: the times that it stores would mislead.

    Signs of life are by the database's clock alone, so that nothing is lost by a skew.

    Args:
        here: this machine's time, seconds of the epoch; by default as it is.
    Raises: UsageError.
    """
    ahead = (time.time() if here is None else here) - store.read(claims.now)
    if abs(ahead) > MOST_SKEW:
        apart = f"{abs(ahead) / 3600:.1f} h {'ahead of' if ahead > 0 else 'behind'}"
        raise UsageError(f"this machine's clock is {apart} the database's; set it right (for instance by NTP)")


def code_digest() -> str:
    """A digest of our own code, and of the versions of the libraries that decide a trial's numbers."""
    digest = hashlib.blake2b(json.dumps({each: version(each) for each in LIBRARIES}).encode(), digest_size=8)
    root = Path(str(plumbing.__file__)).parents[1]
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
