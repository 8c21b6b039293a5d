"""Small folders in MURA's layout, drawn in a temporary folder."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plumbing.seeds import generator_of


@dataclass
class Mura:
    """A folder `root` in MURA's layout; files are written at once, the CSVs by `write_lists`."""

    root: Path
    studies: list[tuple[str, str, int]] = field(default_factory=list)  # folder, part/patient/study, label

    def study(
        self, folder: str, part: str, patient: str, label: int, images: int = 1, *, number: int = 1, size: int = 16
    ) -> list[str]:
        """Draw a study; the paths of its images below the root."""
        name = f"{part}/patient{patient}/study{number}_{('negative', 'positive')[label]}"
        self.studies.append((folder, name, label))
        paths = [f"{folder}/{name}/image{image}.png" for image in range(1, images + 1)]
        for path in paths:
            self.image(path, size)
        return paths

    def image(self, path: str, size: int = 16) -> Path:
        """Draw noise that depends on the path alone."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator_of("test image", path).integers(0, 256, (size, size), np.uint8)
        Image.fromarray(pixels).save(file)
        return file

    def write_lists(self) -> None:
        """MURA's four CSVs, without header line, study paths ending in a slash."""
        for folder in ("train", "valid"):
            mine = [(name, label) for of, name, label in self.studies if of == folder]
            labels = [f"MURA-v1.1/{folder}/{name}/,{label}\n" for name, label in mine]
            images = [
                f"MURA-v1.1/{path.relative_to(self.root).as_posix()}\n"
                for name, _ in mine
                for path in sorted((self.root / folder / name).glob("*.png"))
            ]
            (self.root / f"{folder}_labeled_studies.csv").write_text("".join(labels))
            (self.root / f"{folder}_image_paths.csv").write_text("".join(images))


@pytest.fixture
def mura(tmp_path: Path) -> Mura:
    """An empty folder in MURA's layout."""
    root = tmp_path / "MURA-v1.1"
    for folder in ("train", "valid"):
        (root / folder).mkdir(parents=True)
    return Mura(root)


@pytest.fixture
def small(mura: Mura) -> Mura:
    """Hands: 8 patients in train and 4 in valid, half of them abnormal, two images each, with the CSVs."""
    for patient in range(12):
        mura.study("train" if patient < 8 else "valid", "XR_HAND", f"{patient:05d}", patient % 2, images=2)
    mura.write_lists()
    return mura
