"""The durable store and what can be computed from it. Knows nothing of TensorFlow.

schema, migrations   the tables, and how they came to be
connection           opening a store: absent, foreign, newer and unwritable ones are refused in one line
records, store       what is written and read; the store's guarantees
metrics, intervals   pure functions of labels and probabilities
evaluation           a split's probabilities to all metrics, by image and by study
certainty, selection, multiple, delong, rates    which differences are sure
calibration, thresholds, reliability    what makes a verdict of an output, fitted on valid
card, trained_kind   what a model's file says of itself, and of the images that it was trained on
ensemble, ensemble_trial    kept models together, and the trial that they are
names                what searches and ensembles may be called
curves               best so far against cost; bootstrap over repeated searches
table                one row a trial, with the exported columns
published, history_files    what import_csv reads: the published tables, the histories beside them
list, export, import_csv    commands
"""
