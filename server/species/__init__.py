"""Species: what lives here, how often, when in the day and the year, where; people and vehicles are never among them.

`period.py` (months and stations that are meant) → `queries.py` (tallies, never frames) → `effort.py` (trap-nights),
`richness.py` (how many species there may be) → `charts.py` (shapes of the plots, which templates/species/charts.html
draws) → `pages.py`, `api.py`.
"""
