"""The whole API against data that fit its description and data that do not: a real process, no server error.

benchmarks/openapi.py does the same for longer; its output is in benchmarks/results/openapi.txt.
"""

import re

from benchmarks.openapi import check

SECONDS, EXAMPLES = 30, 3


def test_the_api_does_as_its_description_says_and_never_fails(tmp_path):
    code, said = check(tmp_path, seconds=SECONDS, examples=EXAMPLES)

    assert code == 0, said[-20_000:]
    assert int(re.search(r"(\d+) generated", said)[1]) > 300, said[-3000:]
