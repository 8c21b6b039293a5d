"""Trials that go on from another, and parameters that a user's own model brought up while it was built."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("results_trials", sa.Column("continues", sa.Integer))
    op.add_column("results_trials", sa.Column("first_epoch", sa.Integer))
    op.add_column("results_trials", sa.Column("found_parameters", sa.JSON))
