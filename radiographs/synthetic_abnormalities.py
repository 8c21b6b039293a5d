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

# The difficulty: strengths follow Beta(EASE, HARDNESS), a share of the abnormalities is nearly invisible, and a part's
# abnormalities are so large relative to its bones that a head on frozen ImageNet features reaches a study AUC of
# 0.75 to 0.9 on 60 patients of any part.
EASE, HARDNESS = 3.0, 1.1
SIZE = {"XR_ELBOW": 1.15, "XR_FINGER": 1.1, "XR_FOREARM": 1.9, "XR_HAND": 1.8, "XR_HUMERUS": 0.45,
        "XR_SHOULDER": 0.9, "XR_WRIST": 1.5}  # fmt: skip
NEARLY_INVISIBLE = 0.3
BONES_HIT = {"XR_HAND": 3}  # elsewhere one; a hand has so many small bones that one alone is lost among them
FINEST = 0.006  # least size of a detail, a pixel of 160: without it those of small bones would vanish
PLATE_EDGE = 0.0025  # over which metal fades
KINDS = {"break": 0.25, "step": 0.3, "plate": 0.25, "lucency": 0.2}  # how often each is drawn


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
        size: of all its details, relative to the usual for a bone of that width.
        jag: phase of the break line's zigzag, in radians.
    """

    kind: str
    bone: int
    along: float
    across: float
    slope: float
    strength: float
    size: float
    jag: float


@dataclass(frozen=True)
class Site:
    """A bone's own coordinates at each pixel; arrays of one shape, lengths in shares of the image's longest side.

    `along` runs from the bone's start, `across` from its axis; `half_width` is the bone's there.
    """

    along: Floats
    across: Floats
    half_width: Floats


def draw_abnormalities(part: str, generator: np.random.Generator, bones: Sequence[Bone]) -> tuple[Abnormality, ...]:
    """Random abnormalities of one kind in BONES_HIT different bones of the part; their `likely` weighs the choice."""
    likely = np.array([bone.likely for bone in bones])
    hit = generator.choice(len(bones), BONES_HIT.get(part, 1), replace=False, p=likely / likely.sum())
    kind = str(generator.choice(list(KINDS), p=list(KINDS.values())))
    strength = generator.beta(EASE, HARDNESS)
    if generator.random() < NEARLY_INVISIBLE:
        strength *= 0.15
    return tuple(
        Abnormality(
            kind=kind,
            bone=int(bone),
            along=float(generator.uniform(*bones[bone].sites)),
            across=float(generator.uniform(-0.5, 0.5)),
            slope=float(generator.uniform(-0.8, 0.8)),
            strength=float(max(strength, 0.05)),
            size=SIZE[part],
            jag=float(generator.uniform(0, 2 * np.pi)),
        )
        for bone in hit
    )


def displaced(site: Site, bone: Bone, abnormality: Abnormality) -> Site:
    """The bone's coordinates after a step's fragment has moved; unchanged for the other kinds."""
    if abnormality.kind != "step":
        return site
    here, length = abnormality.along * bone.length, bone.length
    from_break = _behind_break(site, bone, abnormality)
    room = here if abnormality.along < 0.5 else length - here
    held = np.clip(1 - from_break / room, 0, 1)
    offset = np.where(from_break > 0, held, 0) * _scale(bone, abnormality) * 1.5 * abnormality.strength
    return Site(site.along, _floats(site.across - np.sign(abnormality.across) * offset), site.half_width)


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


def _scale(bone: Bone, abnormality: Abnormality) -> float:
    """The length that the abnormality's details go by: the bone's half width there times the size."""
    steps = np.linspace(0, 1, len(bone.widths))
    return abnormality.size * float(np.interp(abnormality.along, steps, bone.widths))


def _behind_break(site: Site, bone: Bone, abnormality: Abnormality) -> Floats:
    """Distance along the bone from the break line, positive toward the nearer end."""
    width = _scale(bone, abnormality)
    share = site.across / width
    zigzag = 0.12 * width * (np.sin(5 * share + abnormality.jag) + np.sin(11 * share - abnormality.jag))
    distance = site.along - abnormality.along * bone.length - abnormality.slope * site.across - zigzag
    return _floats(distance if abnormality.along >= 0.5 else -distance)


def _with_line(shadow: Floats, site: Site, bone: Bone, abnormality: Abnormality) -> Floats:
    width, strength = _scale(bone, abnormality), abnormality.strength
    thickness = (0.05 + 0.12 * strength) * width + FINEST
    line = np.exp(-((_behind_break(site, bone, abnormality) / thickness) ** 2))
    # A weak break reaches only part of the way through the bone, from the side `across` points to.
    reach = (2.2 * strength - 0.6) * width
    side = site.across * (1 if abnormality.across >= 0 else -1)
    crossed = _soft_step((side + reach) / (0.15 * width))
    return _floats(shadow * (1 - (0.35 + 0.6 * strength) * line * crossed))


def _with_hole(shadow: Floats, site: Site, bone: Bone, abnormality: Abnormality) -> Floats:
    width, strength = _scale(bone, abnormality), abnormality.strength
    radius = min((0.45 + 0.6 * strength) * width, 1.1 * width / abnormality.size) + FINEST
    distance = np.hypot((site.along - abnormality.along * bone.length) / 1.4, site.across - abnormality.across * width)
    hole = _soft_step((radius - distance) / (0.1 * width))
    rim = np.exp(-(((distance - 1.2 * radius) / (0.15 * width)) ** 2))
    return _floats(shadow * (1 - (0.2 + 0.7 * strength) * hole + 0.25 * strength * rim))


def _with_plate(shadow: Floats, site: Site, bone: Bone, abnormality: Abnormality, metal: float) -> Floats:
    width, strength = _scale(bone, abnormality), abnormality.strength
    half_length = min((2 + 4 * strength) * width, 0.35 * bone.length)
    along = site.along - abnormality.along * bone.length
    across = site.across - np.sign(abnormality.across) * 0.75 * width
    inside = np.minimum(half_length - np.abs(along), 0.28 * width + FINEST / 2 - np.abs(across))
    pitch = 2 * half_length / 4
    to_screw = (along + 0.5 * pitch) % pitch - 0.5 * pitch
    inward = -across * np.sign(abnormality.across)
    screw = np.minimum.reduce([0.11 * width + FINEST / 4 - np.abs(to_screw), half_length - np.abs(along),
                               inward, 1.6 * width - inward])  # fmt: skip
    covered = _soft_step(inside / PLATE_EDGE) + _soft_step(screw / PLATE_EDGE)
    return _floats(shadow + metal * (0.1 + 0.9 * strength) * np.minimum(covered, 1.3))


def _soft_step(x: Floats) -> Floats:
    """The logistic function: 0 far below 0, 1 far above."""
    return _floats(1 / (1 + np.exp(np.clip(-x, -30, 30))))


def _floats(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float32)
