"""Each search of a campaign through the rules of `search.run`, before anything starts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from plumbing.errors import UsageError, UserError
from search.campaigns.file import Campaign, Item, Value
from search.engines import engine_module
from search.options import SYNTHETIC, Options, parse
from spaces import architecture_named
from spaces.narrowing import make_space, read_narrowing
from spaces.weights import weights_of


def arguments_of(item: Item, store: str, runs: Path, seconds: float | None = None) -> list[str]:
    """What `search.run` is called with.

    Args:
        seconds: for `--timeout`.
    """
    given: dict[str, Value] = {"trials": item.trials, "name": item.name, "runs": str(runs)}
    if seconds is not None:
        given["timeout"] = round(seconds, 1)
    options = {**item.options, **given, "store": store}  # the store last: see search.campaigns.item
    return [part for key, value in options.items() for part in _argument(key, value)]


def _argument(key: str, value: Value) -> Iterator[str]:
    if isinstance(value, bool):
        yield f"--{key}" if value else f"--no-{key}"
        return
    for each in value if isinstance(value, list) else [value]:
        yield from (f"--{key}", str(each))


def check(campaign: Campaign, store: str) -> dict[str, Options]:
    """Check all that can be checked without reading an image.

    Returns: search -> its options.
    Raises: UsageError naming the file, the search and the mend.
    """
    checked = {}
    for item in campaign.items:
        where = f"{campaign.path}: {item.place} ({item.name})"
        arguments = arguments_of(item, store, campaign.runs)
        try:
            options = parse(arguments)
            _check_options(options)
        except UserError as error:
            raise UsageError(f"{where}: {_named_as_in_the_file(str(error), item)}") from None
        checked[item.name] = options
    return checked


def _check_options(options: Options) -> None:
    """What `search.run` would refuse only when it is this search's turn.

    Raises: UserError.
    """
    engine_module(options.engine).check(options.sampler, options.pruner)
    if options.data != SYNTHETIC and not Path(options.data).is_dir():
        raise UsageError(f"--data {options.data}: no such folder; give MURA-v1.1 or the folder that holds it")
    if options.hypermodel is not None:
        return
    architectures = [architecture_named(name) for name in options.architectures]
    for each in architectures:
        each.check_size(options.image_size or each.native_size)
        weights_of(each, options.weights)
    if options.space is not None:
        make_space(architectures, read_narrowing(options.space), cheap_cuts=False)


def _named_as_in_the_file(error: str, item: Item) -> str:
    """An option that there is not is named as the file has it."""
    unknown = [key for key in item.options if error.startswith(f"unrecognized arguments: {_first(item, key)}")]
    if not unknown:
        return error
    return f"{unknown[0]} is no option of search.run; its --help lists them, here without the dashes before them"


def _first(item: Item, key: str) -> Sequence[str]:
    return next(_argument(key, item.options[key]), "")
