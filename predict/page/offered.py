"""Which models of the store a server offers, and a short card of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from plumbing.errors import ModelError
from plumbing.text import printable
from predict.chosen import ChosenModel, choose
from predict.page.answers import Figure, ModelCard, Split
from radiographs.parts import TASKS, class_names
from results.card import read_card
from results.records import FINISHED, SPLITS, Search, Trial
from results.store import Store


@dataclass(frozen=True)
class Offer:
    """A task's model, and its card."""

    model: ChosenModel
    card: ModelCard


@dataclass(frozen=True)
class Offered:
    """What a server offers.

    Attributes:
        offers: task -> its best model, in the order of tasks. missing: task -> why its model cannot be used.
    """

    offers: Mapping[str, Offer]
    missing: Mapping[str, str]


def offered(url: str, tasks: Sequence[str] = ()) -> Offered:
    """The best models of a store.

    Args:
        tasks: whose; by default all for which a model is kept.
    Raises: StoreError where the store cannot be read; ModelError where no model can be used, or none of a task given.
    """
    store = Store.open(url)
    try:
        finished = [trial for trial in store.trials() if trial.state == FINISHED]
        kept = {trial.part_body for trial in finished if trial.model_path is not None}
        models: dict[str, ChosenModel] = {}
        missing: dict[str, str] = {}
        for task in tasks or filter(kept.__contains__, TASKS):
            try:
                models[task] = choose(url, task, None)
            except ModelError as error:
                if tasks:
                    raise
                missing[task] = str(error)
        if not models:
            raise ModelError(*missing.values()) if len(missing) == 1 else ModelError(_none(finished, missing))
        offers = {task: Offer(model, _card(store, finished, model)) for task, model in models.items()}
        return Offered(offers, missing)
    finally:
        store.close()


def _none(finished: Sequence[Trial], missing: Mapping[str, str]) -> str:
    if missing:
        return f"no model of the store can be used: {'; '.join(missing.values())}"
    if finished:
        return "the store keeps no model; search.run --keep-models K keeps the best K"
    return "the store holds no finished trial yet; search.run makes models"


def _card(store: Store, finished: Sequence[Trial], model: ChosenModel) -> ModelCard:
    trial = next(each for each in finished if (each.model_name, each.part_body) == (model.name, model.task))
    search = next(each for each in store.searches() if each.id == trial.search_id)
    figures = dict(_figures(store, trial))
    return ModelCard(
        part=model.task,
        model=model.name,
        architecture=trial.architecture,
        image_size=trial.image_size,
        weights=trial.weights,
        classes=list(class_names(model.task)),
        search=search.name,
        trial=trial.number,
        trials=sum(each.search_id == search.id for each in finished),
        made=trial.finished,
        data=_folder(search),
        data_hash=search.data_hash,
        splits=dict(_splits(store, search, model.task)),
        valid_auc=figures.get("valid"),
        test_auc=figures.get("test"),
        input=_input(model.path),
        temperature=model.temperature,
        thresholds=dict(model.thresholds),
    )


def _input(path: Path) -> str | None:
    """What the model's file says of it; one of an older version says nothing."""
    try:
        found: str | None = read_card(path).get("input")
    except ModelError:
        return None
    return found


def _figures(store: Store, trial: Trial) -> Iterator[tuple[str, Figure]]:
    """Split -> AUC by study."""
    for trial_id, each in store.measures("study", "auc"):
        if trial_id == trial.id and each.value is not None:
            yield each.split, Figure(value=each.value, low=each.low, high=each.high)


def _splits(store: Store, search: Search, task: str) -> Iterator[tuple[str, Split]]:
    for split in SPLITS:
        images = store.image_list(str(search.data_hash), task, split)
        counted = (images.paths, set(images.studies), set(images.patients))
        yield split, Split(**dict(zip(("images", "studies", "patients"), map(len, counted), strict=True)))


def _folder(search: Search) -> str | None:
    """The last name of the data's folder: where it lies on the machine is nobody's business."""
    return printable(PurePath(str(search.details["data"])).name) if search.details.get("data") else None
