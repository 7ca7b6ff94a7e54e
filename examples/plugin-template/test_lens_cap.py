"""The plugin keeps the contract that every stage keeps, and does what its page says."""

import numpy as np
from tigrillo_lens_cap import SPEC, LensCapConfig

from edge.testing import array_picture, check_stage_contract, frame, grey_picture


def test_a_covered_lens_is_rejected_with_the_contrast_and_a_view_passes():
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)

    covered, view = check_stage_contract(SPEC, LensCapConfig(), [frame(grey_picture()), frame(array_picture(noise))])

    assert covered.rejected == "lens covered: contrast 0.0 is below 4"
    assert not view.rejected


def test_the_limit_is_the_sites_to_choose():
    [answer] = check_stage_contract(SPEC, LensCapConfig(min_contrast=0), [frame(grey_picture())])

    assert not answer.rejected
