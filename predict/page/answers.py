"""What the API says, in the shape that OpenAPI documents."""

from typing import Final, Literal

from pydantic import BaseModel, Field

State = Literal["loading", "ready", "broken"]
LOADING: Final = "loading"
READY: Final = "ready"
BROKEN: Final = "broken"
NOT_A_DEVICE = "Research use, not a medical device."


class Problem(BaseModel):
    """Why there is no answer, and the mend: one line."""

    error: str


class Heat(BaseModel):
    """A Grad-CAM heat map: where in the image lies what speaks for a class."""

    speaks_for: str = Field(description="the class", examples=["abnormal"])
    is_empty: bool = Field(description="whether nothing in the image speaks for it")
    layer: str = Field(description="a PNG as data: URL, to be laid over the picture; the more opaque the hotter")


class Picture(BaseModel):
    """An image in grey as the model was given it, but for its size."""

    width: int = Field(description="pixels")
    height: int = Field(description="pixels")
    data: str = Field(description="a JPEG as data: URL, its longer side at most 1024 pixels")


class Found(BaseModel):
    """Which part an image shows, by the model of all parts."""

    part: str = Field(examples=["XR_HAND"])
    probability: float = Field(ge=0, le=1, description="calibrated P(part)", examples=[0.9731])
    model: str = Field(examples=["all_parts-optuna_0004"])


class Verdict(BaseModel):
    """What a model says of an image or of a study."""

    path: str = Field(description="the file's name as it was sent; of a study its name", examples=["image1.png"])
    part: str = Field(description="whose model says so", examples=["XR_HAND"])
    label: str = Field(description="normal or abnormal; of all_parts one of 14 classes", examples=["abnormal"])
    probability: float = Field(
        ge=0, le=1, description="calibrated P(abnormal); of all_parts P(label)", examples=[0.8214]
    )
    raw_probability: float = Field(
        ge=0, le=1, description="the same as the network puts it out, before calibration", examples=[0.9021]
    )
    model: str = Field(description="its name in the store", examples=["XR_HAND-optuna_0009"])
    warnings: list[str] = Field(description="why to trust it less", examples=[[]])
    threshold: float | None = Field(
        description="from which calibrated P(abnormal) on it is abnormal; none of all_parts: the likeliest counts",
        examples=[0.5],
    )
    is_strange: bool | None = Field(
        description="whether it does not look like what the model was trained on, so that its label means nothing; "
        "none where the model's file does not tell",
        examples=[False],
    )
    found: Found | None = Field(None, description="where the part was not given")


class ImageVerdict(Verdict):
    """A verdict on one image."""

    picture: Picture | None = Field(None, description="where heat maps were asked for")
    heat: Heat | None = Field(None, description="where it was asked for, and the model has one")
    no_heat: str | None = Field(None, description="why there is no heat map, where it was asked for")


class Study(Verdict):
    """The verdict on all images together, by the mean of their probabilities."""

    images: int = Field(description="how many it is of", examples=[2])


class BadFile(BaseModel):
    """A file that is no image which can be used."""

    path: str = Field(description="its name as it was sent", examples=["notes.txt"])
    error: str = Field(examples=["not an image of a known kind"])


class Answer(BaseModel):
    """The verdicts."""

    images: list[ImageVerdict | BadFile] = Field(description="one a file, in the order in which they were sent")
    study: Study | None = Field(None, description="where it was asked for and an image could be read")
    no_study: str | None = Field(None, description="why there is no verdict on the study, where it was asked for")
    note: str = NOT_A_DEVICE


class Figure(BaseModel):
    """A figure with its 95 % interval: bootstrap over patients."""

    value: float = Field(examples=[0.83])
    low: float | None = Field(examples=[0.76])
    high: float | None = Field(examples=[0.89])


class Split(BaseModel):
    """How much data."""

    images: int
    studies: int
    patients: int


class ModelCard(BaseModel):
    """What a model is, what it was made from, and how good it was there; absent is what the store does not know."""

    part: str = Field(examples=["XR_HAND"])
    model: str = Field(examples=["XR_HAND-optuna_0009"])
    architecture: str = Field(examples=["efficientnet_lite0"])
    image_size: int | None = Field(description="pixels a side, to which images are squashed", examples=[224])
    weights: str | None = Field(description="that training began with", examples=["imagenet"])
    classes: list[str]
    search: str = Field(description="which search found it", examples=["XR_HAND-optuna"])
    trial: int = Field(description="its number in the search")
    trials: int = Field(description="finished ones of the search, of which it is the best on valid")
    made: str | None = Field(description="when, ISO 8601")
    data: str | None = Field(description="name of the data's folder", examples=["MURA-v1.1"])
    data_hash: str | None = Field(description="of the images, labels and splits it was searched on")
    splits: dict[str, Split] = Field(description="train, valid and test")
    valid_auc: Figure | None = Field(description="by study; flattered, the model was chosen by it")
    test_auc: Figure | None = Field(description="by study; test chose nothing")
    input: str | None = Field(description="what the network takes, as the model's file says it")
    temperature: float = Field(description="by which logits are divided to calibrate")
    thresholds: dict[str, float] = Field(description="how chosen on valid -> threshold of calibrated P(abnormal)")
    note: str = NOT_A_DEVICE


class OfferedPart(BaseModel):
    """A part that can be asked for."""

    part: str = Field(examples=["XR_HAND"])
    model: str = Field(examples=["XR_HAND-optuna_0009"])
    state: State


class Parts(BaseModel):
    """What can be asked for."""

    parts: list[OfferedPart]
    finds_out: bool = Field(description="whether the part may be left out")
    heat_maps: bool = Field(description="whether heat maps can be had: not of the engine onnx")


class Health(BaseModel):
    """Whether all models are loaded."""

    status: State
    models: dict[str, str] = Field(description="part -> loading, ready, or why its model cannot be used")
