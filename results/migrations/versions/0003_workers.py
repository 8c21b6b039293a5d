"""Workers, their claims, and what a search's last command asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("results_searches", sa.Column("run", sa.JSON))
    op.add_column("results_trials", sa.Column("knows", sa.JSON))
    op.create_table(
        "results_workers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("search_id", sa.Integer, sa.ForeignKey("results_searches.id"), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process", sa.Integer, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("joined", sa.Float(53), nullable=False),
        sa.Column("heartbeat", sa.Float(53), nullable=False),
        sa.Column("patience", sa.Float(53), nullable=False),
        sa.Column("left", sa.Float(53)),
    )
    op.create_table(
        "results_claims",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("results_trials.id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("worker_id", sa.Integer, sa.ForeignKey("results_workers.id"), nullable=False),
        sa.Column("claimed", sa.Float(53), nullable=False),
        sa.Column("outcome", sa.String(10)),
        sa.Column("ended", sa.Float(53)),
    )
    op.create_index("ix_results_metrics_by_name", "results_metrics", ["level", "metric", "split", "trial_id", "value"])
    op.create_index("ix_results_workers_search_id", "results_workers", ["search_id"])
    op.create_index("ix_results_claims_worker_id", "results_claims", ["worker_id"])
    op.create_table(
        "results_transactions",
        sa.Column("writer", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
