"""Many processes on one search; the store alone tells them of one another.

worker   this process as a worker: signs of life, claims
feeds    what a worker may train next, by batches or asynchronously
known    whose results an asynchronous proposal knew
joining  what a search's command writes down, so that workers can join it, and how they read it
local    `--workers N`: processes of this machine
ray_cluster  `--ray ADDRESS`: tasks of a Ray cluster
ray_runs     features and models between its nodes, where they do not share a folder
"""
