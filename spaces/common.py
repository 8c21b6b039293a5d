"""What every architecture varies.

The published hand-made settings (learning rate 1e-3, dropout 0.2, patience 4 to 20, batch 32, all frozen, no, light
and deep augmentation) and the published tuned ranges lie inside.
"""

from radiographs.augmentation import LEVELS
from spaces.declaration import Choice, Parameter, Real, Whole

OPTIMIZERS = ("adam", "sgd", "rmsprop")

TRAINING: tuple[Parameter, ...] = (
    Real("lr", 1e-5, 1e-2, log=True),
    Real("conv_dropout", 0.0, 0.6),
    Whole("callbacks_patience", 3, 20),
    Choice("augmentation", LEVELS, ordered=True),
    Choice("optimizer", OPTIMIZERS),
    Choice("weight_decay", (0.0, 1e-5, 1e-4, 1e-3, 1e-2), ordered=True),
    Real("label_smoothing", 0.0, 0.2),
    Choice("class_weights", ("none", "balanced")),
    Choice("batch_size", (16, 32, 64), ordered=True),
)

# Hidden units between pooled features and output; 0: the output stands on the features, as published.
HEAD_UNITS = Choice("units", (0, 64, 128, 256), ordered=True)
