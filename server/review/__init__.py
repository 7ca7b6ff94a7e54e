"""Review: sequences in a grid and one by one, what people say of them, and how it is undone.

filters.py (what is asked for) → queries.py (bounded reads) → cards.py, one.py (what a page shows) → pages.py, api.py.
What people say: names.py (which species is meant) → answers.py (targets, one short transaction).
"""
