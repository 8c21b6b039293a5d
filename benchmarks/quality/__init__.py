"""How good searches are, told by replaying them on recorded tables; `python -m benchmarks.search_quality` runs all.

`replay` runs one of our engines, `plain` the libraries by themselves, `variants` holds what is tried in place of our
defaults, `contestants` lists who takes part and where, `jobs` runs them all, `statistics` and `drawing` compare.
"""
