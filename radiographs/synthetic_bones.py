"""Draws one synthetic radiograph: bones and soft tissue as the shadows that X-rays would cast, then the film.

Attenuation adds up along the ray: a bone is a dense wall (cortex) around spongy marrow, a limb is a tube of soft
tissue. The film turns attenuation into grey levels with a random exposure, blur, noise, collimation and marker,
none of which knows whether the bone is abnormal. All functions are pure: a generator goes in, an array comes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from radiographs.synthetic_abnormalities import Abnormality, Floats, Site, altered, displaced
from radiographs.synthetic_skeletons import Bone, Skeleton, placed, skeleton_of

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

LONGEST_SIDE = 160  # pixels
# Attenuation for each unit of length (the image's longest side), about as real tissues compare.
CORTEX, MARROW, FLESH = 30.0, 6.5, 3.0
METAL = 2.2  # of a plate, in shadows of the darkest bone of its image


@dataclass(frozen=True)
class Radiograph:
    """A drawn image and where its abnormalities lie.

    Attributes:
        image: (height, width) uint8.
        boxes: for each abnormality that can be seen: it, and the pixels it changed as left, top, right, bottom
            (right and bottom excluded). Every changed pixel lies in a box.
    """

    image: Picture
    boxes: tuple[tuple[Abnormality, Box], ...]


def draw_radiograph(part: str, anatomy: np.random.Generator, view: np.random.Generator, left_side: bool,
                    abnormalities: Sequence[Abnormality]) -> Radiograph:  # fmt: skip
    """One view of one patient's part; with generators of the same seeds the same image outside the boxes.

    Args:
        anatomy: draws the patient's bones; give one of the same seed for each view.
        view: draws pose, framing, exposure and noise.
        left_side: the limb's side; mirrors the image and picks the marker's letter.
        abnormalities: each in a different bone.
    Raises: KeyError for an unknown part.
    """
    skeleton = skeleton_of(part, anatomy, view)
    turn, shift = view.normal(0, 0.1), (view.normal(0, 0.025), view.normal(0, 0.025))
    skeleton = placed(skeleton, turn, shift, view.uniform(0.92, 1.06))
    width, height = _frame(skeleton.aspect)
    texture = _texture(view, height, width)
    shadows = [_shadow(bone, texture, None) for bone in skeleton.bones]
    attenuation = _soft_tissue(skeleton, texture) + np.sum(shadows, axis=0, dtype=np.float32)
    film = _draw_film(view, attenuation, left_side)
    image, boxes = _develop(attenuation, film), []
    for abnormality in abnormalities:
        ill = _shadow(skeleton.bones[abnormality.bone], texture, abnormality)
        attenuation = attenuation - shadows[abnormality.bone] + ill
        before, image = image, _develop(attenuation, film)
        if (box := _changed(before, image)) is not None:
            boxes.append((abnormality, box))
    return Radiograph(image, tuple(boxes))


def _frame(aspect: float) -> tuple[int, int]:
    """Width and height in pixels, the longer being LONGEST_SIDE."""
    if aspect >= 1:
        return LONGEST_SIDE, round(LONGEST_SIDE / aspect)
    return round(LONGEST_SIDE * aspect), LONGEST_SIDE


def _texture(view: np.random.Generator, height: int, width: int) -> Floats:
    """The trabecular pattern: (height, width) float32 of mean 0 and deviation 1, grain of about 2 pixels."""
    fine, coarse = (
        cv2.GaussianBlur(view.standard_normal((height, width), dtype=np.float32), (0, 0), sigma) * sigma
        for sigma in (0.9, 3.0)
    )
    both = fine + 0.7 * coarse
    return np.asarray(both / both.std(), dtype=np.float32)


def _site(bone: Bone, height: int, width: int) -> Site:
    """The bone's own coordinates at every pixel; arrays of (height, width) float32."""
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / LONGEST_SIDE - bone.start[0]
    y = ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / LONGEST_SIDE - bone.start[1])[:, None]
    length = bone.length
    right, down = (bone.end[0] - bone.start[0]) / length, (bone.end[1] - bone.start[1]) / length
    along = x * right + y * down
    share = np.clip(along / length, 0, 1)
    across = y * right - x * down - 4 * bone.bow * share * (1 - share)
    half_width = np.interp(share, np.linspace(0, 1, len(bone.widths)), bone.widths)
    return Site(along.astype(np.float32), across.astype(np.float32), half_width.astype(np.float32))


def _half_chord(radius: Floats, distance: Floats) -> Floats:
    """Half the way of a ray through a tube of that radius, at that distance from its axis; 0 outside."""
    inside = np.maximum(radius, 0) ** 2 - distance**2
    return np.asarray(np.sqrt(np.maximum(inside, 0)), dtype=np.float32)


def _from_axis(site: Site, bone: Bone) -> Floats:
    """Distance from the bone's axis; around the ends from the centre of the end's circle."""
    past_start, past_end = bone.widths[0] - site.along, site.along - (bone.length - bone.widths[-1])
    return np.asarray(np.hypot(site.across, np.maximum(np.maximum(past_start, past_end), 0)), dtype=np.float32)


def _shadow(bone: Bone, texture: Floats, abnormality: Abnormality | None) -> Floats:
    """Attenuation by one bone alone, sound or with its abnormality; (height, width) float32, 0 beside the bone."""
    height, width = texture.shape
    site = _site(bone, height, width)
    if abnormality is not None:
        site = displaced(site, bone, abnormality)
    distance = _from_axis(site, bone)
    outer = _half_chord(site.half_width, distance)
    # The wall is thick in the middle of a long bone and thin toward its joints.
    share = np.clip(site.along / bone.length, 0, 1)
    wall = bone.cortex * float(np.median(bone.widths)) * (0.35 + 0.65 * np.sqrt(4 * share * (1 - share)))
    inner = _half_chord((site.half_width - wall).astype(np.float32), distance)
    dense = CORTEX * (outer - inner) + MARROW * inner * (1 + 0.3 * texture)
    shadow = (bone.density * dense).astype(np.float32)
    if abnormality is None:
        return shadow
    return altered(shadow, site, bone, abnormality, METAL * float(shadow.max()))


def _soft_tissue(skeleton: Skeleton, texture: Floats) -> Floats:
    """Attenuation by the limbs, which overlap without adding up; (height, width) float32."""
    height, width = texture.shape
    depth = np.zeros((height, width), np.float32)
    for limb in skeleton.flesh:
        site = _site(limb, height, width)
        depth = np.maximum(depth, _half_chord(site.half_width, _from_axis(site, limb)))
    return np.asarray(FLESH * cv2.GaussianBlur(depth, (0, 0), 2.5) * (1 + 0.04 * texture), dtype=np.float32)


@dataclass(frozen=True)
class _Film:
    """How an image was taken: everything between attenuation and grey levels, drawn before the abnormality is."""

    gain: float  # grey per attenuation, before saturation
    gamma: float
    base: float  # grey of the unexposed film
    blur: float  # pixels
    noise: Floats  # grey levels
    open_field: Floats  # 1 where the beam passed the collimator, else 0
    marker: Picture  # grey levels of the letter
    mirrored: bool


def _draw_film(view: np.random.Generator, sound: Floats, mirrored: bool) -> _Film:
    """A random film, exposed for the attenuation of the sound limb, so that an abnormality cannot sway it."""
    height, width = sound.shape
    noise = view.standard_normal((height, width), dtype=np.float32) * view.uniform(1.0, 3.5)
    bright = max(float(np.percentile(sound, 98)), 1e-3)
    return _Film(
        gain=float(view.uniform(1.1, 1.8)) / bright,
        gamma=float(view.uniform(0.85, 1.2)),
        base=float(view.uniform(4, 35)),
        blur=float(view.uniform(0.3, 0.7)),
        noise=noise,
        open_field=_collimation(view, height, width),
        marker=_marker(view, height, width, "L" if mirrored else "R"),
        mirrored=mirrored,
    )


def _collimation(view: np.random.Generator, height: int, width: int) -> Floats:
    """1 inside the beam, 0 outside; three in ten images show the collimator's slanted edges."""
    field = np.ones((height, width), np.float32)
    if view.random() < 0.3:
        inset = view.uniform(0.0, 0.07, 4) * LONGEST_SIDE
        lean = view.normal(0, 0.02) * LONGEST_SIDE
        corners = [(inset[0] + lean, inset[1]), (width - inset[2], inset[1] + lean),
                   (width - inset[2] - lean, height - inset[3]), (inset[0], height - inset[3] - lean)]  # fmt: skip
        field[:] = 0
        cv2.fillPoly(field, [np.round(corners).astype(np.int32)], 1.0)
    return field


def _marker(view: np.random.Generator, height: int, width: int, letter: str) -> Picture:
    """The side's letter near a corner on half of the images; grey levels, 0 where there is no letter."""
    layer = np.zeros((height, width), np.uint8)
    drawn, right, low = view.random(3) < 0.5
    inset = view.integers(8, 16, 2)
    grey = int(view.integers(170, 256))
    if drawn:
        place = (int(width - inset[0] - 10 if right else inset[0]), int(height - inset[1] if low else inset[1] + 8))
        cv2.putText(layer, letter, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (grey,), 1, cv2.LINE_AA)
    return layer


def _develop(attenuation: Floats, film: _Film) -> Picture:
    """Grey levels of an attenuation; (height, width) uint8, dense tissue bright."""
    if film.mirrored:
        attenuation = np.ascontiguousarray(attenuation[:, ::-1])
    exposed = 1 - np.exp(-film.gain * attenuation)
    grey = film.base + (245 - film.base) * exposed**film.gamma
    grey = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), film.blur) + film.noise
    grey = np.maximum(grey, film.marker) * film.open_field
    return np.asarray(np.clip(np.round(grey), 0, 255), dtype=np.uint8)


def _changed(before: Picture, after: Picture) -> Box | None:
    rows, columns = np.nonzero(before != after)
    if not rows.size:
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
