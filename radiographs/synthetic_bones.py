"""Draws one synthetic radiograph: bones and soft tissue as the shadows that X-rays would cast, then the film.

Attenuation adds up along the ray: a bone is a dense wall (cortex) around spongy marrow, a limb is a tube of soft
tissue. The film turns attenuation into grey levels with a random exposure, blur, noise, collimation and marker,
none of which knows whether the bone is abnormal. All functions are pure: a generator goes in, an array comes out.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from radiographs.synthetic_abnormalities import Abnormality, Floats, Site, altered, displaced
from radiographs.synthetic_skeletons import Bone, Skeleton, placed, skeleton_of

Picture = npt.NDArray[np.uint8]

LONGEST_SIDE = 160  # pixels
# Attenuation for each unit of length (the image's longest side), about as real tissues compare.
CORTEX, MARROW, FLESH = 30.0, 12.0, 3.0
METAL = 2.2  # of a plate, in shadows of the darkest bone of its image


@dataclass(frozen=True)
class Radiograph:
    """A drawn image and where its abnormality lies.

    Attributes:
        image: (height, width) uint8.
        box: left, top, right, bottom of the pixels that the abnormality changed, right and bottom excluded;
            None where there is none or it cannot be seen.
    """

    image: Picture
    box: tuple[int, int, int, int] | None


def draw_radiograph(part: str, anatomy: np.random.Generator, view: np.random.Generator, left_side: bool,
                    abnormality: Abnormality | None) -> Radiograph:  # fmt: skip
    """One view of one patient's part; with the same generators and no abnormality, the same image but for the box.

    Args:
        anatomy: draws the patient's bones; give one of the same seed for each view.
        view: draws pose, framing, exposure and noise.
        left_side: the limb's side; mirrors the image and picks the marker's letter.
    Raises: KeyError for an unknown part.
    """
    skeleton = skeleton_of(part, anatomy, view)
    turn, shift = view.normal(0, 0.14), (view.normal(0, 0.025), view.normal(0, 0.025))
    skeleton = placed(skeleton, turn, shift, view.uniform(0.88, 1.06))
    width, height = _frame(skeleton.aspect)
    texture = _texture(view, height, width)
    shadows = [_shadow(bone, texture, None) for bone in skeleton.bones]
    bones = np.sum(shadows, axis=0, dtype=np.float32)
    rest = _soft_tissue(skeleton, texture)
    film = _draw_film(view, (rest + bones), left_side)
    sound = _develop(rest + bones, film)
    if abnormality is None:
        return Radiograph(sound, None)
    ill = _shadow(skeleton.bones[abnormality.bone], texture, abnormality)
    image = _develop(rest + bones - shadows[abnormality.bone] + ill, film)
    return Radiograph(image, _changed(sound, image))
