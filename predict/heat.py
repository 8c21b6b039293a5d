"""A heat map drawn over its image, with a legend; in colours whose lightness grows with the heat."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from plumbing.files import atomic_path

# Nine evenly spaced colours of "inferno" (Smith and van der Walt 2015), told apart by all kinds of colour vision and
# in grey print; between them colours are linear.
COLOURS = (
    (0, 0, 4),
    (31, 12, 72),
    (85, 15, 109),
    (136, 34, 106),
    (186, 54, 85),
    (227, 89, 51),
    (249, 140, 10),
    (249, 201, 50),
    (252, 255, 164),
)
Heat = NDArray[np.float32]  # (height, width)
MOST_OPAQUE = 0.6  # at the most heat: the bone below stays visible
HOTTEST = 0.1  # share of the pixels that the line is drawn around
MOST_WIDE = 2048  # pixels of a side: more takes minutes, and a screen shows no more
LEAST_WIDTH = 360  # pixels that the legend needs
LINE, EDGE = (255, 255, 255), (0, 0, 0)  # the line has a dark edge, to be seen on white bone


def spread(heat: Heat, width: int, height: int) -> Heat:
    """A heat map resized to an image's sides, linear between the middles of its pixels."""
    return np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR))


def hottest(heat: Heat, share: float = HOTTEST) -> NDArray[np.bool_]:
    """The hottest share of the pixels, those without any heat left out."""
    return (heat >= np.quantile(heat, 1 - share)) & (heat > 0)


def overlay(grey: NDArray[np.uint8], heat: Heat, title: str) -> Image.Image:
    """The image with its heat map over it, the more opaque the hotter, a line around the hottest tenth, and a legend.

    Args:
        grey: (height, width), the image at its own sides.
        heat: of any sides, covering the whole image; 0..1.
        title: what the heat is, for the legend.
    Returns: RGB; as wide as the image, or wider where that is too narrow for the legend, which stands below it. An
        image with a side above `MOST_WIDE` is made smaller.
    """
    shown = Image.fromarray(grey)
    shown.thumbnail((MOST_WIDE, MOST_WIDE))
    width, height = shown.size
    over = spread(heat, width, height)
    picture = Image.composite(_coloured(over), shown.convert("RGB"), _mask(over * MOST_OPAQUE))
    inside, thickness = hottest(over), max(1, min(width, height) // 256)
    picture.paste(EDGE, mask=_mask(_outline(inside, 2 * thickness)))
    picture.paste(LINE, mask=_mask(_outline(inside, thickness)))
    text = title if over.any() else f"{title}: nowhere"
    legend = _legend(max(width, LEAST_WIDTH), text)
    whole = Image.new("RGB", (legend.width, height + legend.height))
    whole.paste(picture, ((legend.width - width) // 2, 0))
    whole.paste(legend, (0, height))
    return whole


def layer(heat: Heat, width: int, height: int) -> bytes:
    """A heat map as PNG, to be laid over its image: the more opaque the hotter, clear where there is no heat."""
    over = spread(heat, width, height)
    coloured, file = _coloured(over), io.BytesIO()
    coloured.putalpha(_mask(over))
    coloured.save(file, "PNG")
    return file.getvalue()


def write_overlay(path: Path, grey: NDArray[np.uint8], heat: Heat, title: str) -> None:
    """Write `overlay` as PNG; the file is whole or absent.

    Raises: OSError where it cannot be written.
    """
    drawn = overlay(grey, heat, title)
    with atomic_path(path) as temporary:
        drawn.save(temporary, "PNG")


def _coloured(heat: Heat) -> Image.Image:
    steps = np.linspace(0, 1, len(COLOURS))
    shades = np.stack([np.interp(np.arange(256) / 255, steps, each) for each in zip(*COLOURS, strict=True)], axis=1)
    return Image.fromarray(np.rint(shades).astype(np.uint8)[_levels(heat)])


def _levels(heat: Heat) -> NDArray[np.uint8]:
    return np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)


def _mask(opacity: Heat) -> Image.Image:
    return Image.fromarray(_levels(opacity))


def _outline(inside: NDArray[np.bool_], thickness: int) -> Heat:
    """Pixels of a region that lie at its edge: 1, else 0."""
    whole = Image.fromarray(inside.astype(np.uint8) * 255)
    return (inside & (np.asarray(whole.filter(ImageFilter.MinFilter(2 * thickness + 1))) == 0)).astype(np.float32)


def _legend(width: int, title: str) -> Image.Image:
    """A bar from little to most, with the title above; its height grows with the width."""
    line = min(48, max(14, width // 36))
    legend = Image.new("RGB", (width, 5 * line))
    draw, font = ImageDraw.Draw(legend), ImageFont.load_default(line * 0.85)
    bar = np.tile(np.linspace(0, 1, width - 2 * line, dtype=np.float32), (line, 1))
    legend.paste(_coloured(bar), (line, round(line * 1.5)))
    for across, down, anchor, text in (
        (line, 0.3, "la", title),
        (line, 2.6, "la", "none"),
        (width // 2, 2.6, "ma", "line: hottest tenth"),
        (width - line, 2.6, "ra", "most in this image"),
        (line, 3.7, "la", "Grad-CAM. Research use, not a medical device."),
    ):
        draw.text((across, line * down), text, LINE, font, anchor)
    return legend
