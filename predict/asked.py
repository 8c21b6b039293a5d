"""What can be asked of images: alone, in memory, as the studies that they belong to, as folders."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.errors import DataError
from predict.files import ImageFile, image_files
from predict.verdicts import Unread, Verdict


class Asked(ABC):
    """What gives verdicts: a model, or a router to several."""

    @abstractmethod
    def images(self, files: Sequence[ImageFile]) -> Iterator[Verdict | Unread]:
        """A verdict for each file, in order; those that cannot be read say why."""

    @abstractmethod
    def together(self, name: str, read: Sequence[Verdict], unread: Sequence[str] = ()) -> Verdict:
        """The verdict on a study from those on its images.

        Args:
            unread: what to warn of besides their warnings.
        """

    @abstractmethod
    def in_memory(self, pixels: NDArray[Any]) -> Verdict:
        """The verdict on an array, as `radiographs.decoding.from_array` takes it.

        Raises: DataError where it is no image.
        """

    def image(self, image: Path | str | NDArray[Any]) -> Verdict:
        """The verdict on one image: a file, or an array as `radiographs.decoding.from_array` takes it.

        Raises: DataError where it cannot be read.
        """
        if isinstance(image, np.ndarray):
            return self.in_memory(image)
        (found,) = self.images([Path(image)])
        if isinstance(found, Unread):
            raise DataError(f"{found.path}: {found.error}; give an image")
        return found

    def study(self, paths: Sequence[Path | str]) -> Verdict:
        """The verdict on the images of one study together, as a radiologist reads: by the mean of their probabilities.

        Returns: with a warning for each file that could not be read.
        Raises: DataError where none can be read.
        """
        found = list(self.images([Path(each) for each in paths]))
        read = [each for each in found if isinstance(each, Verdict)]
        unread = [f"{each.path}: {each.error}" for each in found if isinstance(each, Unread)]
        if not read:
            raise DataError(f"no image of the study can be read: {'; '.join(unread) or 'none was given'}; give images")
        return self.together(str(Path(read[0].path).parent), read, unread)

    def folder(self, folder: Path | str) -> Iterator[Verdict | Unread]:
        """A verdict for each image file in a folder and the folders in it, in the order of their names.

        Raises: DataError where it is no folder, or holds no image file.
        """
        files = image_files(Path(folder))
        if not files:
            raise DataError(f"{folder}: no image file in it; give a folder of images")
        yield from self.images(files)

    def studies(self, found: Sequence[Verdict | Unread]) -> list[Verdict]:
        """A verdict for each folder with images among the verdicts; its files that were not read are warnings."""
        folders: dict[str, tuple[list[Verdict], list[str]]] = {}
        for each in found:
            read, unread = folders.setdefault(str(Path(each.path).parent), ([], []))
            if isinstance(each, Verdict):
                read.append(each)
            else:
                unread.append(f"{each.path}: {each.error}")
        return [self.together(folder, read, unread) for folder, (read, unread) in folders.items() if read]
