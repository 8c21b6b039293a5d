"""The abnormalities hidden in synthetic bones: which, where, how strong, and what each does to a bone's shadow.

break    a dark, jagged line across a part of the bone
step     a break whose shorter fragment stands off, and comes back to its joint at the bone's end
plate    a metal plate along the bone, with screws
lucency  a dark round hole with a thin dense rim

All act in a bone's own coordinates (see `Site`), so an abnormality keeps its place in the bone in every view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radiographs.synthetic_skeletons import Bone

Floats = npt.NDArray[np.float32]

# The difficulty: strengths follow Beta(EASE, HARDNESS), and a share of the abnormalities is nearly invisible.
EASE, HARDNESS = 3.0, 1.1
NEARLY_INVISIBLE = 0.1
FINEST = 0.006  # least size of a detail, a pixel of 160: without it those of small bones would vanish
KINDS = {"break": 0.3, "step": 0.3, "plate": 0.2, "lucency": 0.2}  # how often each is drawn


@dataclass(frozen=True)
class Abnormality:
    """One abnormality in one bone.

    Attributes:
        kind: a key of KINDS.
        bone: index of its bone in the skeleton.
        along: its middle, as a share of the bone's length.
        across: its offset from the bone's axis, in half widths.
        slope: tangent of the break's tilt against the bone's cross section.
        strength: 0 (invisible) to 1.
        jag: phase of the break line's zigzag, in radians.
    """

    kind: str
    bone: int
    along: float
    across: float
    slope: float
    strength: float
    jag: float


@dataclass(frozen=True)
class Site:
    """A bone's own coordinates at each pixel; arrays of one shape, lengths in shares of the image's longest side.

    `along` runs from the bone's start, `across` from its axis; `half_width` is the bone's there.
    """

    along: Floats
    across: Floats
    half_width: Floats


def draw_abnormality(generator: np.random.Generator, bones: Sequence[Bone]) -> Abnormality:
    """A random abnormality in one of the bones; their `likely` weighs the choice."""
    likely = np.array([bone.likely for bone in bones])
    strength = generator.beta(EASE, HARDNESS)
    if generator.random() < NEARLY_INVISIBLE:
        strength *= 0.15
    bone = int(generator.choice(len(bones), p=likely / likely.sum()))
    return Abnormality(
        kind=str(generator.choice(list(KINDS), p=list(KINDS.values()))),
        bone=bone,
        along=float(generator.uniform(*bones[bone].sites)),
        across=float(generator.uniform(-0.5, 0.5)),
        slope=float(generator.uniform(-0.8, 0.8)),
        strength=float(max(strength, 0.05)),
        jag=float(generator.uniform(0, 2 * np.pi)),
    )


def displaced(site: Site, bone: Bone, abnormality: Abnormality) -> Site:
    """The bone's coordinates after a step's fragment has moved; unchanged for the other kinds."""
    if abnormality.kind != "step":
        return site
    here, length = abnormality.along * bone.length, bone.length
    from_break = _behind_break(site, bone, abnormality)
    room = here if abnormality.along < 0.5 else length - here
    held = np.clip(1 - from_break / room, 0, 1)
    offset = np.where(from_break > 0, held, 0) * _width_at(bone, abnormality) * 1.5 * abnormality.strength
    return Site(site.along, (site.across - np.sign(abnormality.across) * offset).astype(np.float32), site.half_width)


def altered(shadow: Floats, site: Site, bone: Bone, abnormality: Abnormality, metal: float) -> Floats:
    """The bone's shadow with its abnormality.

    Args:
        shadow: attenuation by the sound bone, the shape of the site's arrays.
        site: the bone's coordinates, already `displaced`.
        metal: attenuation by a plate as thick as the bone's half width.
    Returns: the new attenuation; same shape.
    """
    if abnormality.kind == "plate":
        return _with_plate(shadow, site, bone, abnormality, metal)
    if abnormality.kind == "lucency":
        return _with_hole(shadow, site, bone, abnormality)
    return _with_line(shadow, site, bone, abnormality)


def _width_at(bone: Bone, abnormality: Abnormality) -> float:
    steps = np.linspace(0, 1, len(bone.widths))
    return float(np.interp(abnormality.along, steps, bone.widths))


def _behind_break(site: Site, bone: Bone, abnormality: Abnormality) -> Floats:
    """Distance along the bone from the break line, positive toward the nearer end."""
    width = _width_at(bone, abnormality)
    share = site.across / width
    zigzag = 0.12 * width * (np.sin(5 * share + abnormality.jag) + np.sin(11 * share - abnormality.jag))
    distance = site.along - abnormality.along * bone.length - abnormality.slope * site.across - zigzag
    return (distance if abnormality.along >= 0.5 else -distance).astype(np.float32)


def _with_line(shadow: Floats, site: Site, bone: Bone, abnormality: Abnormality) -> Floats:
    width, strength = _width_at(bone, abnormality), abnormality.strength
    thickness = (0.05 + 0.12 * strength) * width + FINEST
    line = np.exp(-((_behind_break(site, bone, abnormality) / thickness) ** 2))
    # A weak break reaches only part of the way through the bone, from the side `across` points to.
    reach = (2.2 * strength - 0.6) * width
    side = site.across * (1 if abnormality.across >= 0 else -1)
    crossed = 1 / (1 + np.exp(np.clip(-(side + reach) / (0.15 * width), -30, 30)))
    return (shadow * (1 - (0.35 + 0.6 * strength) * line * crossed)).astype(np.float32)


def _with_hole(shadow: Floats, site: Site, bone: Bone, abnormality: Abnormality) -> Floats:
    width, strength = _width_at(bone, abnormality), abnormality.strength
    radius = (0.45 + 0.6 * strength) * width + FINEST
    distance = np.hypot((site.along - abnormality.along * bone.length) / 1.4, site.across - abnormality.across * width)
    hole = 1 / (1 + np.exp(np.clip((distance - radius) / (0.1 * width), -30, 30)))
    rim = np.exp(-(((distance - 1.2 * radius) / (0.15 * width)) ** 2))
    return (shadow * (1 - (0.2 + 0.7 * strength) * hole + 0.25 * strength * rim)).astype(np.float32)


def _with_plate(shadow: Floats, site: Site, bone: Bone, abnormality: Abnormality, metal: float) -> Floats:
    width, strength = _width_at(bone, abnormality), abnormality.strength
    half_length = min((2 + 4 * strength) * width, 0.35 * bone.length)
    along = site.along - abnormality.along * bone.length
    across = site.across - np.sign(abnormality.across) * 0.75 * width
    inside = np.minimum(half_length - np.abs(along), 0.28 * width + FINEST / 2 - np.abs(across))
    pitch = 2 * half_length / 4
    to_screw = (along + 0.5 * pitch) % pitch - 0.5 * pitch
    inward = -across * np.sign(abnormality.across)
    screw = np.minimum.reduce([0.11 * width + FINEST / 4 - np.abs(to_screw), half_length - np.abs(along),
                               inward, 1.6 * width - inward])  # fmt: skip
    softness = 0.0025
    covered = sum(1 / (1 + np.exp(np.clip(-edge / softness, -30, 30))) for edge in (inside, screw))
    return (shadow + metal * (0.1 + 0.9 * strength) * np.minimum(covered, 1.3)).astype(np.float32)
