"""Which files are meant: folders with links and closed doors, patterns, names that no file can have, pipes."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plumbing.errors import DataError
from predict.files import Content, Kept, content_of, image_files, meant
from radiographs.decoding import Unreadable

NOBODY = 65534  # a user whom a folder's permissions hold back, which root's do not


def make(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names(files: object, below: Path) -> list[str]:
    return [os.path.relpath(str(each), below) for each in files]  # type: ignore[attr-defined]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder with an image and a folder that may not be listed, by the user who then runs the test."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        make(folder / "a.png", folder / "closed" / "b.png")
        (folder / "closed").chmod(0)
        if before == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(before)
            (folder / "closed").chmod(0o700)


def test_links_to_folders_are_followed_and_each_folder_counts_once(tmp_path: Path) -> None:
    """They were passed over without a word."""
    make(tmp_path / "elsewhere" / "a.png", tmp_path / "given" / "own" / "b.png")
    (tmp_path / "given" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "given" / "again").symlink_to(tmp_path / "given" / "own")
    (tmp_path / "given" / "own" / "circle").symlink_to(tmp_path / "given")
    assert names(image_files(tmp_path / "given"), tmp_path / "given") == ["linked/a.png", "own/b.png"]


def test_a_link_to_an_image_that_is_gone_is_told_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "absent.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert names(image_files(tmp_path), tmp_path) == ["gone.png"]


@pytest.mark.parametrize("argument", [".", "**/*.png", "**"])
def test_a_folder_that_cannot_be_listed_is_told_beside_the_files_of_others(closed: Path, argument: str) -> None:
    """Its images were left out without a word."""
    given = closed if argument == "." else closed / argument
    *files, unlisted = meant([str(given)])
    assert [Path(str(each)).name for each in files] == ["a.png"]
    assert Path(str(unlisted)).name == "closed"
    with pytest.raises(Unreadable, match="the folder cannot be listed: Permission denied"):
        content_of(unlisted)


def test_a_path_in_a_folder_that_is_closed_is_a_file_that_cannot_be_read(closed: Path) -> None:
    """The question whether it is a folder ended the whole batch."""
    inside, beside = meant([str(closed / "closed" / "b.png"), str(closed / "a.png")])
    assert content_of(beside) == b""
    with pytest.raises(Unreadable, match="Permission denied"):
        content_of(inside)


def test_a_name_longer_than_any_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    long, _ = meant([str(tmp_path / ("x" * 300)), str(tmp_path / "a.png")])
    with pytest.raises(Unreadable, match="File name too long"):
        content_of(long)


def test_a_path_with_a_nul_is_a_file_that_cannot_be_read() -> None:
    with pytest.raises(Unreadable, match="no path: embedded null byte"):
        content_of(Path("a\0b.png"))


def test_a_pattern_for_any_folders_meets_each_folder_once_where_links_lead_in_circles(tmp_path: Path) -> None:
    """One image was found 41 times; two links back took for ever."""
    make(tmp_path / "a" / "x.png", tmp_path / "a" / "b" / "x.png", tmp_path / ".hidden" / "x.png")
    for name in ("back", "again"):
        (tmp_path / "a" / name).symlink_to(tmp_path)
    for pattern in ("**/x.png", "**/*.png", "**", "a/**/x.png"):
        assert names(meant([str(tmp_path / pattern)]), tmp_path) == ["a/b/x.png", "a/x.png"]
    assert names(meant([str(tmp_path / "**" / "b" / "**" / "*.png")]), tmp_path) == ["a/b/x.png"]


def test_a_pattern_may_be_relative_and_a_file_may_be_called_like_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "a" / "x.png", tmp_path / "x[1].png")
    monkeypatch.chdir(tmp_path)
    assert list(map(str, meant(["**/x.png", "x[1].png", "?/*"]))) == ["a/x.png", "x[1].png"]
    with pytest.raises(DataError, match="no image file in it"):
        meant(["absent/**/*.png"])


def test_a_kept_file_is_read_once_until_it_is_let_go_and_a_pipe_for_good(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"first")
    kept = Kept(tmp_path / "a.png")
    assert kept.read_bytes() == b"first"
    (tmp_path / "a.png").write_bytes(b"second")
    assert kept.read_bytes() == b"first"
    kept.let_go()
    assert kept.read_bytes() == b"second"

    own = Kept(Content("sent", b"sent"))
    own.read_bytes()
    own.let_go()
    assert (own.read_bytes(), str(own)) == (b"sent", "sent")

    reading, writing = os.pipe()
    os.write(writing, b"piped")
    os.close(writing)
    (piped,) = meant([f"/dev/fd/{reading}"])
    assert piped.read_bytes() == b"piped"
    os.close(reading)
    assert piped.read_bytes() == b"piped"
