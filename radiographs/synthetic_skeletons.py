"""The bones of the seven parts as the synthetic data set draws them: geometry only, no pixels.

Lengths are shares of the image's longest side, the origin is the image's centre, x runs right and y down.
`anatomy` draws what a patient keeps from image to image (sizes, proportions), `pose` what changes (flexion,
turn of the limb), so the n-th bone of a part is the same bone in every view of a patient.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Bone:
    """A tube along a line from `start` to `end`, round at both ends; also used for limbs of soft tissue.

    Attributes:
        widths: half widths at equal steps from start to end, two or more.
        bow: how far the middle lies beside the straight line.
        cortex: thickness of the dense wall in the middle of the bone, as a share of the half width there.
        density: how much it absorbs for its thickness, relative to other bones (a flat bone is thinner than wide).
        likely: how likely an abnormality lies in this bone, relative to the others; 0 never.
        sites: least and greatest share of the length at which it may lie, so that the frame shows it.
    """

    start: Point
    end: Point
    widths: tuple[float, ...]
    bow: float = 0.0
    cortex: float = 0.32
    density: float = 1.0
    likely: float = 0.0
    sites: tuple[float, float] = (0.25, 0.75)

    @property
    def length(self) -> float:
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))


@dataclass(frozen=True)
class Skeleton:
    """What one image shows: `bones`, the limbs of soft tissue around them, and the frame's width over its height."""

    bones: tuple[Bone, ...]
    flesh: tuple[Bone, ...]
    aspect: float


def skeleton_of(part: str, anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    """One patient's bones of a part in one pose.

    Raises: KeyError for a part that is not in PARTS.
    """
    return _SKELETONS[part](anatomy, pose)


def placed(skeleton: Skeleton, turn: float, shift: Point, scale: float) -> Skeleton:
    """The skeleton scaled, turned by `turn` radians about the centre, then shifted."""
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)

    def moved(point: Point) -> Point:
        x, y = point
        return float(cosine * x - sine * y + shift[0]), float(sine * x + cosine * y + shift[1])

    def move(bone: Bone) -> Bone:
        widths = tuple(scale * width for width in bone.widths)
        return replace(bone, start=moved(bone.start), end=moved(bone.end), widths=widths, bow=scale * bone.bow)

    bones, flesh = (tuple(move(bone) for bone in group) for group in (skeleton.bones, skeleton.flesh))
    return replace(skeleton, bones=bones, flesh=flesh)


def _toward(point: Point, angle: float, length: float) -> Point:
    """The point `length` away; angle 0 points down, a positive one to the right (radians)."""
    return float(point[0] + length * np.sin(angle)), float(point[1] + length * np.cos(angle))


def _profile(width: float, shares: tuple[float, ...], anatomy: np.random.Generator) -> tuple[float, ...]:
    """Half widths from shares of `width`, each a few per cent off, as no two bones are alike."""
    return tuple(float(width * share * anatomy.normal(1.0, 0.04)) for share in shares)


_SHAFT = (1.35, 1.25, 0.95, 0.85, 0.85, 0.95, 1.25, 1.3)


def _humerus(anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    width, limb = anatomy.uniform(0.036, 0.047), anatomy.uniform(0.13, 0.19)
    shares = (1.6, 1.9, 1.5, 1.05, 1.0, 0.95, 0.95, 0.95, 1.0, 1.2, 1.9, 1.5)
    bow = anatomy.uniform(-0.02, 0.02)
    bone = Bone((0.0, -0.43), (0.0, 0.43), _profile(width, shares, anatomy), bow, likely=1.0)
    flesh = Bone((0.02, -0.7), (0.0, 0.7), (limb * 1.25, limb * 1.1, limb, limb * 0.85))
    return Skeleton((bone,), (flesh,), pose.uniform(0.55, 0.8))


def _forearm(anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    width, apart = anatomy.uniform(0.025, 0.032), anatomy.uniform(0.045, 0.06)
    spread = apart * pose.uniform(0.75, 1.1)
    limb = anatomy.uniform(0.13, 0.17)
    radius_shares = (1.0, 1.1, 0.85, 0.9, 1.0, 1.0, 1.1, 1.9, 1.8)
    ulna_shares = (1.6, 1.8, 1.4, 1.1, 1.0, 0.9, 0.8, 0.9, 0.8)
    bow = anatomy.uniform(0.01, 0.03)
    radius = Bone((spread, -0.37), (spread, 0.41), _profile(width, radius_shares, anatomy), -bow, likely=1.0)
    ulna = Bone((-spread, -0.42), (-spread, 0.39), _profile(width, ulna_shares, anatomy), bow / 2, likely=1.0)
    return Skeleton((radius, ulna), (Bone((0, -0.7), (0, 0.7), (limb, limb, limb * 0.6)),), pose.uniform(0.5, 0.75))


def _elbow(anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    width, flexion = anatomy.uniform(0.05, 0.06), pose.uniform(0.15, 1.0)
    limb = anatomy.uniform(0.14, 0.18)
    upper = _profile(width, (0.9, 0.9, 0.9, 1.0, 1.2, 1.8, 1.6), anatomy)
    humerus = Bone((0.0, -0.62), (0.0, 0.02), upper, likely=1.0, sites=(0.5, 0.85))
    joint = (0.0, 0.02)
    ulna_start, radius_start = _toward(joint, flexion - 1.9, 0.05), _toward(joint, flexion + 0.75, 0.085)
    ulna_widths = _profile(width, (1.0, 1.1, 0.9, 0.75, 0.65, 0.6), anatomy)
    radius_widths = _profile(width, (0.75, 0.75, 0.5, 0.6, 0.65, 0.65), anatomy)
    near, ulna_end = (0.15, 0.5), _toward(ulna_start, flexion, 0.6)
    ulna = Bone(ulna_start, ulna_end, ulna_widths, likely=1.0, sites=near)
    radius_end = _toward(radius_start, flexion - 0.05, 0.6)
    radius = Bone(radius_start, radius_end, radius_widths, likely=0.7, sites=near)
    flesh = (Bone((0, -0.8), (0, 0.08), (limb, limb * 0.9)), Bone(joint, _toward(joint, flexion, 0.8), (limb, limb)))
    return Skeleton((humerus, ulna, radius), flesh, pose.uniform(0.75, 1.2))


def _ray(base: Point, angle: float, lengths: tuple[float, ...], width: float, bend: float,
         anatomy: np.random.Generator, likely: float = 1.0) -> list[Bone]:  # fmt: skip
    """Bones end to end from `base`, upwards at angle 0, each turned by `bend` and narrower than the one before."""
    bones = []
    for number, length in enumerate(lengths):
        end = _toward(base, np.pi - angle, length)
        widths = _profile(width * 0.85**number, _SHAFT, anatomy)
        bones.append(Bone(base, end, widths, likely=likely * 0.2**number))
        base, angle = _toward(end, np.pi - angle, 0.012), angle + bend
    return bones


def _finger(anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    size, bend = anatomy.uniform(0.92, 1.08), pose.uniform(-0.02, 0.2)
    lengths = tuple(size * length for length in (0.3, 0.3, 0.2, 0.14))
    bones = _ray((0.0, 0.56), -bend, lengths, anatomy.uniform(0.05, 0.06), bend, anatomy)
    bones = [replace(bone, likely=likely) for bone, likely in zip(bones, (0.7, 1.0, 0.7, 0.3), strict=True)]
    limb = anatomy.uniform(0.1, 0.13)
    flesh = tuple(Bone(bone.start, bone.end, (limb, limb * 0.95)) for bone in bones)
    return Skeleton(tuple(bones), (*flesh, Bone((0.0, 0.9), (0.0, 0.45), (0.3, 0.12))), pose.uniform(0.4, 0.65))


def _carpals(centre: Point, size: float, anatomy: np.random.Generator) -> list[Bone]:
    """Eight small bones in two rows; `size` is the half width of one."""
    bones = []
    for row, column in [(row, column) for row in (0, 1) for column in range(4)]:
        x = centre[0] + (column - 1.5) * size * 1.75 + anatomy.normal(0, size * 0.1)
        y = centre[1] + (row - 0.5) * size * 1.9 + abs(column - 1.5) * size * 0.35
        start = (float(x), float(y))
        turn, length = anatomy.uniform(0, np.pi), size * anatomy.uniform(1.6, 2.0)
        back = _toward(start, turn, -length / 2)
        widths = (size * anatomy.uniform(0.7, 0.85), size * anatomy.uniform(0.75, 0.95))
        bones.append(Bone(back, _toward(back, turn, length), widths, cortex=0.16))
    return bones


def _hand(anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    size, spread = anatomy.uniform(1.0, 1.12), pose.uniform(0.07, 0.13)
    width = anatomy.uniform(0.022, 0.026)
    bones: list[Bone] = []
    for finger, reach in enumerate((0.88, 1.0, 1.06, 0.99, 0.82)):
        base = (0.066 * (finger - 2), 0.24 + 0.008 * (finger - 2) ** 2)
        angle = spread * (finger - 2)
        lengths = tuple(size * reach * length for length in (0.23, 0.15, 0.09, 0.06))
        if finger == 0:
            base, angle, lengths = (-0.135, 0.24), -0.6 - spread, (0.16 * size, 0.12 * size, 0.085 * size)
        likely = 1.0 if 0 < finger < 4 else 0.3
        bones += _ray(base, angle, lengths, width, pose.normal(0, 0.03), anatomy, likely)
    flesh = tuple(Bone(bone.start, bone.end, (0.045, 0.04)) for bone in bones)
    flesh = (*flesh, Bone((0.0, 0.28), (0.0, 0.07), (0.12, 0.15)), Bone((0, 0.8), (0, 0.29), (0.11, 0.1)))
    forearm = (
        Bone((-0.055, 0.7), (-0.05, 0.385), _profile(0.032, (0.8, 0.8, 0.9, 1.3, 1.5), anatomy)),
        Bone((0.055, 0.7), (0.05, 0.39), _profile(0.026, (0.8, 0.8, 0.8, 1.0, 1.0), anatomy)),
    )
    bones += _carpals((-0.01, 0.295), 0.032, anatomy)
    return Skeleton((*bones, *forearm), flesh, pose.uniform(0.7, 0.95))


def _wrist(anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    width, spread = anatomy.uniform(0.062, 0.072), pose.uniform(0.85, 1.0)
    radius_shares, ulna_shares = (0.75, 0.75, 0.8, 1.0, 1.5, 1.5), (0.65, 0.62, 0.6, 0.65, 0.9, 0.8)
    radius_widths, ulna_widths = _profile(width, radius_shares, anatomy), _profile(width, ulna_shares, anatomy)
    sites = (0.6, 0.88)
    radius = Bone((-0.09 * spread, 0.75), (-0.085 * spread, 0.15), radius_widths, likely=2.0, sites=sites)
    ulna = Bone((0.11 * spread, 0.75), (0.105 * spread, 0.16), ulna_widths, likely=1.0, sites=sites)
    carpals = _carpals((0.0, -0.02), 0.058, anatomy)
    metacarpals: list[Bone] = []
    for finger in range(5):
        base = (0.085 * (finger - 2) * spread - 0.01, -0.16 + 0.02 * abs(finger - 2))
        if finger == 0:
            base = (-0.21 * spread, -0.08)
        metacarpals += _ray(base, 0.1 * (finger - 2) - 0.3 * (finger == 0), (0.42,), 0.038, 0.0, anatomy, 0.1)
    limb = anatomy.uniform(0.2, 0.24)
    flesh = (Bone((0, 0.9), (0, 0.1), (limb, limb)), Bone((0, 0.1), (0, -0.8), (limb, limb * 1.35)))
    return Skeleton((radius, ulna, *carpals, *metacarpals), flesh, pose.uniform(0.6, 0.9))


def _shoulder(anatomy: np.random.Generator, pose: np.random.Generator) -> Skeleton:
    width, lift = anatomy.uniform(0.048, 0.058), pose.uniform(-0.05, 0.25)
    head = (-0.14, -0.08)
    shares = (2.0, 2.0, 1.3, 1.0, 0.95, 0.9, 0.9)
    humerus = Bone(head, _toward(head, -lift, 0.7), _profile(width, shares, anatomy), likely=2.0, sites=(0.15, 0.6))
    clavicle_widths = _profile(0.024, (1.3, 1.0, 0.9, 1.0, 1.3), anatomy)
    clavicle = Bone((-0.12, -0.26), (0.44, -0.24 + anatomy.uniform(-0.08, 0.05)), clavicle_widths, 0.03, likely=1.0)
    glenoid = Bone((0.015, -0.16), (0.015, 0.05), _profile(0.04, (1.0, 0.8, 1.0), anatomy), -0.01)
    blade = Bone((0.03, -0.08), (0.2, 0.33), (0.04, 0.1, 0.11, 0.05), cortex=0.14, density=0.4)
    acromion = Bone((-0.19, -0.24), (0.12, -0.17), _profile(0.025, (1.2, 1.0, 0.8), anatomy))
    rib = Bone((0.16, -0.12), (0.62, 0.02), (0.014, 0.018, 0.018), -0.08, cortex=0.2, density=0.8)
    ribs = [replace(rib, start=(0.16, -0.12 + drop), end=(0.62, 0.02 + drop)) for drop in (0, 0.13, 0.26, 0.39, 0.52)]
    flesh = (Bone(head, _toward(head, -lift, 0.9), (0.15, 0.12)), Bone((0.0, 0.0), (0.7, 0.1), (0.22, 0.33)),
             Bone((0.3, 0.2), (0.3, 0.9), (0.26, 0.26)))  # fmt: skip
    return Skeleton((humerus, clavicle, glenoid, blade, acromion, *ribs), flesh, pose.uniform(0.9, 1.15))


_SKELETONS: dict[str, Callable[[np.random.Generator, np.random.Generator], Skeleton]] = {
    "XR_ELBOW": _elbow,
    "XR_FINGER": _finger,
    "XR_FOREARM": _forearm,
    "XR_HAND": _hand,
    "XR_HUMERUS": _humerus,
    "XR_SHOULDER": _shoulder,
    "XR_WRIST": _wrist,
}
PARTS = tuple(_SKELETONS)
