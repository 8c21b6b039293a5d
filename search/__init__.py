"""The main job: propose configurations, train and measure them, keep everything.

run         the command
options     what it was asked for
plan        what that means for the data and machine at hand, before anything is trained
enqueue     what goes first
constraints what models may cost
own_model   a user's own Keras Tuner model
loop        propose, train, store, tell; resume
confirmation  the best trials again, under fresh seeds
memory      kept flat over hundreds of trials
stopping    when it ends before it has as many trials as asked for
engines/    who proposes: one file an engine
training/   one trial
progress    what a person sees meanwhile
worker      command: one worker more, on any machine
workers/    many processes on one search: claims, batches, Ray
campaign, campaigns/    command: many searches within a budget, resumable
status      command: how far searches are
compare, comparison, compare_figure    command: two searches side by side
"""
