"""What every folder's commands share: errors, the command line's conventions, atomic files, named seeds.

It is the one folder below all others and imports nothing of ours.
"""

VERSION = "0.1.0"
