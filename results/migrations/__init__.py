"""Alembic's migrations of our tables; their version stands in `results_version`, apart from Optuna's own."""
