"""Recorded trainings of whole grids: searches replayed on them cost look-ups, and their true regret is known.

`recorded` is what all tables are, `published` reads three families of other people's, `frozen_heads` our own, which
`python -m benchmarks.record_heads` makes.
"""
