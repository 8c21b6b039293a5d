"""The tables. Ours begin with `results_`, because Optuna keeps its own beside them in the same database."""

import sqlalchemy as sa

metadata = sa.MetaData()

searches = sa.Table(
    "results_searches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("kind", sa.String(10), nullable=False),  # search | import | confirm | ensemble
    sa.Column("task", sa.String(20)),  # an import holds several
    sa.Column("engine", sa.String(20), nullable=False),
    sa.Column("objective", sa.String(20)),
    sa.Column("seed", sa.Integer),
    sa.Column("data_hash", sa.String(64)),
    sa.Column("code_version", sa.String(40), nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),  # all that must not change between runs of one search
    sa.Column("details", sa.JSON, nullable=False),  # what a report tells: command, counts, images left out
    sa.Column("created", sa.String(32), nullable=False),  # UTC, ISO 8601
    sa.Column("run", sa.JSON(none_as_null=True)),  # what its last command asked for, so that workers can join it
)

image_lists = sa.Table(
    "results_image_lists",
    metadata,
    sa.Column("data_hash", sa.String(64), primary_key=True),
    sa.Column("task", sa.String(20), primary_key=True),
    sa.Column("split", sa.String(5), primary_key=True),
    sa.Column("paths", sa.JSON, nullable=False),
    sa.Column("patients", sa.JSON, nullable=False),
    sa.Column("studies", sa.JSON, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
)

trials = sa.Table(
    "results_trials",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("search_id", sa.Integer, sa.ForeignKey("results_searches.id"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # running | finished | pruned | failed
    sa.Column("reason", sa.Text),  # why it failed
    sa.Column("part_body", sa.String(20), nullable=False, index=True),
    sa.Column("architecture", sa.String(60), nullable=False),
    sa.Column("name_code", sa.String(200), nullable=False, index=True),
    sa.Column("model_name", sa.Text),
    sa.Column("model_path", sa.Text),  # where the model is kept; null where it is not
    sa.Column("configuration", sa.JSON, nullable=False),
    sa.Column("weights", sa.Text),
    sa.Column("image_size", sa.Integer),
    sa.Column("seed", sa.Integer),
    sa.Column("fit_epochs", sa.Integer),
    sa.Column("epochs_trained", sa.Integer),
    sa.Column("best_epoch", sa.Integer),
    sa.Column("early_stop_at_epoch", sa.Integer),
    sa.Column("value", sa.Float(53)),  # the objective at the best epoch
    sa.Column("train_accuracy_eval", sa.Float(53)),  # per cent, by image, as published
    sa.Column("valid_accuracy_eval", sa.Float(53)),
    sa.Column("test_accuracy_eval", sa.Float(53)),
    sa.Column("seconds", sa.Float(53)),
    sa.Column("code_version", sa.String(40)),
    sa.Column("imported", sa.JSON),  # every cell of an imported row, as it stood
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("finished", sa.String(32)),
    sa.Column("continues", sa.Integer),  # number of the trial whose end it began at
    sa.Column("first_epoch", sa.Integer),  # epochs of its history that the other trained
    sa.Column("found_parameters", sa.JSON(none_as_null=True)),  # of a user's own model, found by building it
    sa.Column("knows", sa.JSON(none_as_null=True)),  # asynchronous: whose results its proposal knew
    sa.UniqueConstraint("search_id", "number"),
)

histories = sa.Table(
    "results_histories",
    metadata,
    sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),  # from 0
    sa.Column("metrics", sa.JSON, nullable=False),  # metric name -> value
)

metrics = sa.Table(
    "results_metrics",
    metadata,
    sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
    sa.Column("split", sa.String(5), primary_key=True),
    sa.Column("level", sa.String(5), primary_key=True),  # image | study
    sa.Column("metric", sa.String(20), primary_key=True),
    sa.Column("value", sa.Float(53)),
    sa.Column("low", sa.Float(53)),  # 95 % patient bootstrap
    sa.Column("high", sa.Float(53)),
    # Leaderboards ask for one metric of all trials: of 100,000 trials PostgreSQL finds it in a tenth of the time.
    sa.Index("ix_results_metrics_by_name", "level", "metric", "split", "trial_id", "value"),
)

probabilities = sa.Table(
    "results_probabilities",
    metadata,
    sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
    sa.Column("split", sa.String(5), primary_key=True),
    sa.Column("classes", sa.Integer, nullable=False),  # 1: P(abnormal); 14: one each
    sa.Column("values", sa.LargeBinary, nullable=False),  # (images, classes) float32, little-endian, in image order
)

# Times here are the database's own, in seconds of the epoch, so that the clocks of machines need not agree.
workers = sa.Table(
    "results_workers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("search_id", sa.Integer, sa.ForeignKey("results_searches.id"), nullable=False, index=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("label", sa.Text),  # by which the command that began it knows it
    sa.Column("identity", sa.Text, nullable=False),  # boot, process and its start; empty where the system tells none
    sa.Column("joined", sa.Float(53), nullable=False),
    sa.Column("heartbeat", sa.Float(53), nullable=False),
    sa.Column("patience", sa.Float(53), nullable=False),  # seconds of silence after which it counts as dead
    sa.Column("left", sa.Float(53)),
)

# Each attempt at a trial, appended and ended once: who may write its result, and the log of who might no longer.
claims = sa.Table(
    "results_claims",
    metadata,
    sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),  # from 1; the fencing token
    sa.Column("worker_id", sa.Integer, sa.ForeignKey("results_workers.id"), nullable=False, index=True),
    sa.Column("claimed", sa.Float(53), nullable=False),
    sa.Column("outcome", sa.String(10)),  # null: open; finished | pruned | failed, lost | gone, released
    sa.Column("ended", sa.Float(53)),
)

# The last transaction that each open store wrote on PostgreSQL, by which it knows of one that was never answered.
transactions = sa.Table(
    "results_transactions",
    metadata,
    sa.Column("writer", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
)

# What an import read but could not place, whole, so that nothing of a file is lost.
unplaced = sa.Table(
    "results_unplaced",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("search_id", sa.Integer, sa.ForeignKey("results_searches.id"), nullable=False, index=True),
    sa.Column("source", sa.Text, nullable=False),  # file, and row where it has rows
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
