"""A small drawn data set in MURA's layout: all seven parts, both classes, the abnormalities hidden in the bones.

    python -m radiographs.synthetic DIR [--patients N] [--seed N]

writes DIR/MURA-v1.1 with `train` and `valid`, MURA's four lists without header line, and two files of our own:
`abnormalities.csv` says what is hidden where, `synthetic.json` how the set was made. The folder is whole or absent.

Every random number comes from a seed named after the patient, study and image it is for. So the files are the same
bytes whatever the number of threads, and a set of more patients holds the smaller one's images unchanged.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from plumbing.command import CommandParser, at_least, run_command
from plumbing.errors import UsageError
from plumbing.files import atomic_folder, remove_stale_temporaries
from plumbing.progress import progress_bar
from plumbing.seeds import generator_of
from radiographs.synthetic_abnormalities import Abnormality, draw_abnormalities
from radiographs.synthetic_bones import Radiograph, draw_radiograph
from radiographs.synthetic_skeletons import PARTS, skeleton_of

COMMAND = "radiographs.synthetic"
ROOT = "MURA-v1.1"
RECIPE = "synthetic.json"
VERSION = 1  # raise it when the same seed no longer draws the same pictures

DEFAULT_PATIENTS = 1820  # 260 a part: 184 in train, of which a search takes about 18 as valid, 76 in valid
LEAST_PATIENTS = 70  # 10 a part: 3 of each class in train, 2 of each in valid

# Of each 17 patients of a part, these go to valid; four of them early, so that a small set has both classes there.
_VALID_OF_17 = (1, 3, 6, 8, 13)
SECOND_STUDY = 0.08  # share of patients with another study of the same part
OTHER_PART = 0.05  # share of patients with a study of another part
IMAGES_OF_A_STUDY = {1: 0.3, 2: 0.4, 3: 0.3}
HIDDEN_VIEW = 0.12  # share of an abnormal study's later images that do not show the abnormality

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Study:
    """One study to be drawn; `number` counts the patient's studies of that part from 1."""

    split: str
    part: str
    patient: int
    number: int
    abnormal: bool

    @property
    def folder(self) -> str:
        """Below the data set's root, ending in a slash as in MURA's lists."""
        label = "positive" if self.abnormal else "negative"
        return f"{self.split}/{self.part}/patient{self.patient:05d}/study{self.number}_{label}/"


@dataclass(frozen=True)
class Drawn:
    """A study on disk: its images' paths, and the lines of abnormalities.csv, one for each that an image shows."""

    study: Study
    images: tuple[str, ...]
    abnormalities: tuple[str, ...]


def draw_dataset(folder: Path, patients: int = DEFAULT_PATIENTS, seed: int = 0,
                 progress: Progress | None = None, threads: int | None = None) -> Path:  # fmt: skip
    """Draw the data set into the folder, or find the same one there already.

    Args:
        patients: in all parts together, spread evenly; at least LEAST_PATIENTS.
        progress: told (patients drawn, patients) now and then, from this thread.
        threads: how many draw at once; by default one a core. The files do not depend on it.
    Returns: the folder `MURA-v1.1`.
    Raises:
        UsageError: fewer patients than that, or the folder holds something other than this very set.
        OSError: the folder cannot be written.
    """
    if patients < LEAST_PATIENTS:
        raise UsageError(f"{patients} patients are too few for seven parts and two classes; "
                         f"give {LEAST_PATIENTS} or more")  # fmt: skip
    recipe = {"seed": seed, "patients": patients, "version": VERSION}
    root = folder / ROOT
    if holds_dataset(folder, recipe):
        return root
    if folder.exists():
        remove_stale_temporaries(folder)  # of runs that were killed
    with atomic_folder(root) as unfinished:
        drawn = _draw_patients(unfinished, patients, seed, progress, threads)
        _write_lists(unfinished, drawn)
        (unfinished / RECIPE).write_text(json.dumps(recipe) + "\n", encoding="utf-8")
    return root


def holds_dataset(folder: Path, recipe: dict[str, int]) -> bool:
    """Whether the folder holds the finished set of that recipe; False if there is nothing in it.

    Raises: UsageError where it holds anything else, or is no folder.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder")
    try:
        found = json.loads((folder / ROOT / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        if any(not path.name.startswith(".tmp-") for path in folder.iterdir()):
            raise UsageError(f"{folder} holds something other than a synthetic set; give a new folder") from None
        return False
    if found != recipe:
        raise UsageError(f"{folder} holds another synthetic set ({_named(found)}) than asked for ({_named(recipe)}); "
                         "give a new folder")  # fmt: skip
    return True


def _named(recipe: object) -> str:
    return json.dumps(recipe).strip("{}").replace('"', "").replace(":", "")


def studies_of(patient: int, seed: int) -> tuple[Study, ...]:
    """The studies of a patient; patients count from 1 and take the parts in turn."""
    order, turn = divmod(patient - 1, len(PARTS))
    part = PARTS[turn]
    split, place = _split_of(order)
    # Each two patients of a split are one of each class, in random order.
    abnormal = bool((place + generator_of("synthetic", seed, part, split, "pair", place // 2).integers(2)) % 2)
    draw = generator_of("synthetic", seed, part, patient, "studies")
    studies = [Study(split, part, patient, 1, abnormal)]
    second, other, label, which = draw.random(4)
    if second < SECOND_STUDY:
        studies.append(Study(split, part, patient, 2, bool(label < 0.5)))
    elif other < OTHER_PART:
        others = [name for name in PARTS if name != part]
        studies.append(Study(split, others[int(which * len(others))], patient, 1, bool(label < 0.5)))
    return tuple(studies)


def _split_of(order: int) -> tuple[str, int]:
    """The split of a part's n-th patient, and how many of the part's patients before it are in that split."""
    splits = ["valid" if before % 17 in _VALID_OF_17 else "train" for before in range(order + 1)]
    return splits[-1], splits.count(splits[-1]) - 1


def draw_study(study: Study, seed: int) -> list[Radiograph]:
    """The images of a study, one to three; of an abnormal one the first shows what is hidden, the others mostly."""
    names = ("synthetic", seed, study.part, study.patient)
    draw = generator_of(*names, study.number, "study")
    count = int(draw.choice(list(IMAGES_OF_A_STUDY), p=list(IMAGES_OF_A_STUDY.values())))
    hidden = [False, *(draw.random(count - 1) < HIDDEN_VIEW)]
    left_side = bool(draw.integers(2))

    def view(image: int, abnormalities: tuple[Abnormality, ...]) -> Radiograph:
        anatomy, film = generator_of(*names, "anatomy"), generator_of(*names, study.number, "image", image)
        return draw_radiograph(study.part, anatomy, film, left_side, abnormalities)

    if not study.abnormal:
        return [view(image, ()) for image in range(count)]
    bones = skeleton_of(study.part, generator_of(*names, "anatomy"), generator_of("any pose")).bones
    while True:  # until the frame of the first image shows it, which nearly always is the first time
        abnormalities = draw_abnormalities(study.part, draw, bones)
        first = view(0, abnormalities)
        if first.boxes:
            break
    return [first, *(view(image, () if hidden[image] else abnormalities) for image in range(1, count))]


def _draw_patients(root: Path, patients: int, seed: int, progress: Progress | None,
                   threads: int | None) -> list[Drawn]:  # fmt: skip
    """All patients' images, written below the root; in the order of the lists."""

    def draw(patient: int) -> list[Drawn]:
        return [_write_study(root, study, seed) for study in studies_of(patient, seed)]

    pool = ThreadPoolExecutor(threads or os.cpu_count())
    drawn: list[Drawn] = []
    try:
        for done, studies in enumerate(pool.map(draw, range(1, patients + 1)), start=1):
            drawn += studies
            if progress is not None:
                progress(done, patients)
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C: finish the patients begun, not all that wait
    return sorted(drawn, key=lambda one: (one.study.part, one.study.patient, one.study.number))


def _write_study(root: Path, study: Study, seed: int) -> Drawn:
    """Draw a study into its folder below the root."""
    (root / study.folder).mkdir(parents=True)
    images, rows = [], []
    for number, radiograph in enumerate(draw_study(study, seed), start=1):
        name = f"{study.folder}image{number}.png"
        encoded = cv2.imencode(".png", radiograph.image, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1]
        (root / name).write_bytes(encoded.tobytes())
        images.append(f"{ROOT}/{name}")
        for abnormality, box in radiograph.boxes:
            edges = ",".join(str(edge) for edge in box)
            rows.append(f"{ROOT}/{name},{abnormality.kind},{edges},{abnormality.strength:.3f}")
    return Drawn(study, tuple(images), tuple(rows))


def _write_lists(root: Path, drawn: Sequence[Drawn]) -> None:
    """MURA's four lists and abnormalities.csv."""
    for split in ("train", "valid"):
        mine = [one for one in drawn if one.study.split == split]
        labels = (f"{ROOT}/{one.study.folder},{int(one.study.abnormal)}" for one in mine)
        _write_lines(root / f"{split}_labeled_studies.csv", labels)
        _write_lines(root / f"{split}_image_paths.csv", (path for one in mine for path in one.images))
    rows = (row for one in drawn for row in one.abnormalities)
    _write_lines(root / "abnormalities.csv", ("path,kind,left,top,right,bottom,strength", *rows))


def _write_lines(path: Path, lines: Iterator[str] | Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def draw_with_progress_bar(folder: Path, patients: int = DEFAULT_PATIENTS, seed: int = 0) -> Path:
    """`draw_dataset` for a person who waits."""
    with progress_bar("drawing patients", patients) as advance:
        return draw_dataset(folder, patients, seed, progress=lambda done, patients: advance(1))


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    parser = CommandParser(COMMAND, "Draws a small data set in MURA's layout, all seven parts.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="new or empty; the set becomes DIR/MURA-v1.1")
    parser.add_argument("--patients", metavar="N", type=at_least(LEAST_PATIENTS), default=DEFAULT_PATIENTS,
                        help=f"in all parts together, spread evenly; at least {LEAST_PATIENTS}")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=at_least(0), default=0, help="another seed, other patients")
    options = parser.parse_args(arguments)
    recipe = {"seed": options.seed, "patients": options.patients, "version": VERSION}
    if holds_dataset(options.folder, recipe):
        print(f"{options.folder / ROOT} is already drawn with {_named(recipe)}; nothing done")
        return 0
    root = draw_with_progress_bar(options.folder, options.patients, options.seed)
    images = list(root.glob("*/*/*/*/*.png"))
    megabytes = sum(path.stat().st_size for path in images) / 1e6
    print(f"{root}: {options.patients} patients, {len(images)} images, {megabytes:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
