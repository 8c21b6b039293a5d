"""The main job: propose configurations, train and measure them, keep everything.

run         the command
options     what it was asked for
plan        what that means for the data and machine at hand, before anything is trained
loop        propose, train, store, tell; resume
engines/    who proposes: one file an engine
training/   one trial
progress    what a person sees meanwhile
"""
