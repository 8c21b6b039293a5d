"""How many images were searched on, as the store's lists tell."""

from radiographs.parts import ALL_PARTS, CLASS_PARTS
from reports.data_plot import images_by_row, images_figure, images_table
from tests.reports.store_maker import StoreMaker


def test_images_are_counted_per_label_and_split(made: StoreMaker) -> None:
    made.search("a")
    made.search("b")  # the same data are counted once
    made.images("XR_HAND", {"train": [0, 0, 1], "valid": [0], "test": [1, 1]})

    table = images_table(made.store, made.store.searches())

    assert table[["split", "label", "images"]].to_numpy().tolist() == [
        ["train", "normal", 2], ["train", "abnormal", 1], ["valid", "normal", 1], ["valid", "abnormal", 0],
        ["test", "normal", 0], ["test", "abnormal", 2],
    ]  # fmt: skip


def test_all_parts_labels_are_parts_and_labels_in_their_order(made: StoreMaker) -> None:
    made.search("a", ALL_PARTS)
    made.images(ALL_PARTS, {"train": [number for number in range(14) for _ in range(number + 1)]})

    table = images_table(made.store, made.store.searches())

    assert list(table["images"]) == list(range(1, 15))
    assert list(table["part"]) == [*CLASS_PARTS, *CLASS_PARTS]
    assert list(table["label"]) == ["normal"] * 7 + ["abnormal"] * 7


def test_imports_and_searches_without_lists_have_no_rows(made: StoreMaker) -> None:
    made.search("import", None, data_hash=None)
    made.search("begun")

    assert images_table(made.store, made.store.searches()).empty


def test_part_with_two_sets_of_data_has_two_rows(made: StoreMaker) -> None:
    for name, data in (("a", "a" * 16), ("b", "b" * 16)):
        made.search(name, data_hash=data)
        made.images("XR_HAND", {"train": [0, 1]}, data)
    made.search("c", "XR_ELBOW")
    made.images("XR_ELBOW", {"train": [0, 1]})

    rows = images_by_row(images_table(made.store, made.store.searches()))

    assert list(rows.index) == ["XR_ELBOW", "XR_HAND\ndata aaaaaaaa", "XR_HAND\ndata bbbbbbbb"]


def test_counts_are_written_on_the_bars(made: StoreMaker) -> None:
    made.search()
    made.images("XR_HAND", {"train": [0] * 1234 + [1] * 56, "valid": [0], "test": [1]})

    figure = images_figure(images_table(made.store, made.store.searches()))

    train, valid, test = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert (train, valid, test) == (["1,234", "56"], ["1", "0"], ["0", "1"])


def test_bars_of_all_panels_have_one_scale(made: StoreMaker) -> None:
    made.search()
    made.images("XR_HAND", {"train": [0] * 900 + [1] * 300, "valid": [0] * 30, "test": [1] * 500})
    figure = images_figure(images_table(made.store, made.store.searches()))
    figure.draw_without_rendering()

    pixels = [axes.get_window_extent().width / axes.get_xlim()[1] for axes in figure.axes]

    assert max(pixels) / min(pixels) < 1.01
