"""What plots of several trials share: panels with both grids, a trial's colour and dashes, a legend beside."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from reports.figures import Theme, drawable, plain, style_axes

# Beside colours, for readers and printers who see none: of the first trial, the second, and so on.
DASHES = ("-", "--", "-.", ":")
LONGEST_LABEL = 46


def colours(theme: Theme) -> tuple[str, str, str, str]:
    """Of the first trial, the second, and so on."""
    return theme.blue, theme.orange, theme.green, theme.red


def panel(axes: Axes, theme: Theme, title: str, x: str, y: str) -> None:
    """The house's style with both grids, a title flush left, of several lines if need be, and quiet labels."""
    style_axes(axes, theme)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    plain(axes.set_title(_lines(title), loc="left", color=theme.ink, fontsize=10))
    plain(axes.set_xlabel(drawable(x), color=theme.faint, fontsize=9))
    plain(axes.set_ylabel(drawable(y), color=theme.faint, fontsize=9))


def legend_in(room: Axes, drawn: Axes, theme: Theme, names: Sequence[str] | None = None) -> None:
    """The legend of the lines drawn in one panel, alone in another, so that it covers no data.

    Args:
        names: of the lines, in the order of their drawing, of several lines of text if need be; None: as they were
            drawn.
    """
    room.set_axis_off()
    handles, labels = drawn.get_legend_handles_labels()
    legend = room.legend(
        handles, [_lines(name) for name in names or labels], loc="upper left",
        bbox_to_anchor=(0.0, 1.02), frameon=False, fontsize=8.5, labelcolor=theme.ink, borderpad=0.2, handlelength=2.8,
        labelspacing=0.9,
    )  # fmt: skip
    for text in legend.get_texts():
        plain(text)


def _lines(text: str) -> str:
    """What can be drawn of each line."""
    return "\n".join(map(drawable, text.split("\n")))
