"""Sums that the web page reads instead of counting: what each sequence shows, each day, each species.

All of it is derived: frames, observations, reviews → verdicts.py (what a frame shows, people's answers first) →
grouping.py (which frames are one sequence) → rows.py (a sequence's row) → sums.py (days and species) → work.py, which
makes again what `stale_days` names. Rows: edge/store/summaries.py.
"""
