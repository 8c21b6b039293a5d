"""A campaign: many searches as one resumable piece of work.

file      what a campaign's TOML file asks for
shares    who gets how much where a budget holds less than was asked for
checked   each search through the rules of `search.run`, before anything starts
data      whether folders hold what the searches need, before anything starts
running   the searches one after another, within the budget
item      one search, in a process that does not outlive the campaign's
child     that process, as the campaign sees it
ledger    the hours spent, how each search last ended, and which need not be opened again
seen      how far searches have come, as the store tells it; `search.status` shows it
rows      the same as `search.status` shows it
table     those rows as text
words     numbers in lines
"""
