"""The first tables: searches, image lists, trials, histories, metrics, probabilities, unplaced cells of imports."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "results_searches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("task", sa.String(20)),
        sa.Column("engine", sa.String(20), nullable=False),
        sa.Column("objective", sa.String(20)),
        sa.Column("seed", sa.Integer),
        sa.Column("data_hash", sa.String(64)),
        sa.Column("code_version", sa.String(40), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
    )
    op.create_table(
        "results_image_lists",
        sa.Column("data_hash", sa.String(64), primary_key=True),
        sa.Column("task", sa.String(20), primary_key=True),
        sa.Column("split", sa.String(5), primary_key=True),
        sa.Column("paths", sa.JSON, nullable=False),
        sa.Column("patients", sa.JSON, nullable=False),
        sa.Column("studies", sa.JSON, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
    )
    op.create_table(
        "results_trials",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("search_id", sa.Integer, sa.ForeignKey("results_searches.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("part_body", sa.String(20), nullable=False),
        sa.Column("architecture", sa.String(60), nullable=False),
        sa.Column("name_code", sa.String(200), nullable=False),
        sa.Column("model_name", sa.Text),
        sa.Column("model_path", sa.Text),
        sa.Column("configuration", sa.JSON, nullable=False),
        sa.Column("weights", sa.Text),
        sa.Column("image_size", sa.Integer),
        sa.Column("seed", sa.Integer),
        sa.Column("fit_epochs", sa.Integer),
        sa.Column("epochs_trained", sa.Integer),
        sa.Column("best_epoch", sa.Integer),
        sa.Column("early_stop_at_epoch", sa.Integer),
        sa.Column("value", sa.Float(53)),
        sa.Column("train_accuracy_eval", sa.Float(53)),
        sa.Column("valid_accuracy_eval", sa.Float(53)),
        sa.Column("test_accuracy_eval", sa.Float(53)),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("code_version", sa.String(40)),
        sa.Column("imported", sa.JSON),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("finished", sa.String(32)),
        sa.UniqueConstraint("search_id", "number"),
    )
    op.create_table(
        "results_histories",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("metrics", sa.JSON, nullable=False),
    )
    op.create_table(
        "results_metrics",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
        sa.Column("split", sa.String(5), primary_key=True),
        sa.Column("level", sa.String(5), primary_key=True),
        sa.Column("metric", sa.String(20), primary_key=True),
        sa.Column("value", sa.Float(53)),
        sa.Column("low", sa.Float(53)),
        sa.Column("high", sa.Float(53)),
    )
    op.create_table(
        "results_probabilities",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
        sa.Column("split", sa.String(5), primary_key=True),
        sa.Column("classes", sa.Integer, nullable=False),
        sa.Column("values", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "results_unplaced",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("search_id", sa.Integer, sa.ForeignKey("results_searches.id"), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("ix_results_trials_search_id", "results_trials", ["search_id"])
    op.create_index("ix_results_trials_part_body", "results_trials", ["part_body"])
    op.create_index("ix_results_trials_name_code", "results_trials", ["name_code"])
    op.create_index("ix_results_unplaced_search_id", "results_unplaced", ["search_id"])
