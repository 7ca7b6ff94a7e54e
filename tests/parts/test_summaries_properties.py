"""Whatever happens to the record in whatever order: summaries that were kept up are those made from nothing."""

import pytest

from tests.summary_rig import Record


@pytest.mark.parametrize("seed", range(3))
def test_summaries_kept_up_by_and_by_are_those_made_from_nothing(tmp_path, seed):
    record = Record(f"sqlite:///{tmp_path / 'site.sqlite'}")
    summariser = record.summariser()

    for step, _changed in enumerate(record.at_random(seed)):
        if step % 3 == 0:
            record.settle(summariser)
    record.settle(summariser)

    kept_up = record.everything()
    anew = record.from_nothing()
    assert len(anew["sequences"]) > 20
    for name, rows in anew.items():
        assert kept_up[name] == rows, name
    record.close()


def test_the_same_holds_in_both_databases(database):
    record = Record(database)
    summariser = record.summariser()

    for step, _changed in enumerate(record.at_random(7, steps=25)):
        if step % 5 == 0:
            record.settle(summariser)
    record.settle(summariser)

    kept_up = record.everything()
    assert kept_up == record.from_nothing()
    assert kept_up["tallies"]
    record.close()
