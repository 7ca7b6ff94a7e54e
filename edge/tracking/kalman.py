"""A box that moves evenly: Kalman filter of SORT over many tracks at once, with time in seconds.

Source of state, matrices and numbers: Bewley et al. 2016, "Simple online and realtime tracking", arXiv:1602.00763, and
the authors' sort.py. Theirs steps by pictures of a 30 Hz video and measures in pixels; here a step is any time, given
in units of 1/30 s, and boxes are shares of the picture, brought to `SIDE` units each way.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model import Box

F64 = npt.NDArray[np.float64]

SIDE = 1000.0  # units across and down a picture: about the pixels that the paper's numbers were chosen for
RATE_HZ = 30.0  # of the paper's videos: one step of its noise
SMALLEST = 1.0  # unit; a box without width or height would have no ratio
LARGEST = 10.0 * SIDE  # beyond ten pictures it is no box, and squares stay far from overflow
MEASURED = np.diag([1.0, 1.0, 10.0, 10.0])  # R
DRIFT = np.diag([1.0, 1.0, 1.0, 1.0, 0.01, 0.01, 0.0001])  # Q, of one step
AT_FIRST = np.diag([10.0, 10.0, 10.0, 10.0, 1e4, 1e4, 1e4])  # P: place well known, speed not at all


@dataclass(slots=True)
class Filters:
    """State of n tracks. mean: float64 (n, 7), [cx, cy, s, r, vx, vy, vs]; cov: float64 (n, 7, 7).

    cx, cy: centre, units. s: area, units². r: width / height, held constant. vx, vy, vs: change in 1/30 s.
    """

    mean: F64
    cov: F64

    def __post_init__(self) -> None:
        count = len(self.mean)
        if self.mean.shape != (count, 7) or self.cov.shape != (count, 7, 7):
            raise ValueError(f"Filters takes (n, 7) and (n, 7, 7), got {self.mean.shape} and {self.cov.shape}")


def start(boxes: F64) -> Filters:
    """Filters for new tracks, at rest. boxes: as `measure` makes them, (n, 4)."""
    mean = np.concatenate([boxes, np.zeros((len(boxes), 3))], axis=1)
    return Filters(mean, np.repeat(AT_FIRST[None], len(boxes), axis=0))


def predict(filters: Filters, dt_s: float) -> Filters:
    """Where the tracks are `dt_s` later (≥ 0); their uncertainty grows with the time.

    An area that would shrink to nothing stays what it is, as in sort.py.
    """
    steps = dt_s * RATE_HZ
    move = np.eye(7)
    move[[0, 1, 2], [4, 5, 6]] = steps
    mean = filters.mean.copy()
    mean[mean[:, 2] + steps * mean[:, 6] <= 0, 6] = 0.0
    return Filters(mean @ move.T, move @ filters.cov @ move.T + DRIFT * steps)


def correct(filters: Filters, boxes: F64) -> Filters:
    """The filters after each saw its box. boxes: as `measure` makes them, one a filter, (n, 4).

    Joseph's form of the update, so that covariances stay symmetric and positive over long clips.
    """
    seen = filters.cov[:, :4, :4] + MEASURED
    gain = np.swapaxes(np.linalg.solve(seen, filters.cov[:, :4, :]), 1, 2)
    mean = filters.mean + np.einsum("nij,nj->ni", gain, boxes - filters.mean[:, :4])
    mean[:, 2:4] = np.maximum(mean[:, 2:4], [SMALLEST**2, SMALLEST / LARGEST])
    left = np.broadcast_to(np.eye(7), filters.cov.shape).copy()
    left[:, :, :4] -= gain
    cov = left @ filters.cov @ np.swapaxes(left, 1, 2) + gain @ MEASURED @ np.swapaxes(gain, 1, 2)
    return Filters(mean, cov)


def measure(boxes: list[Box]) -> F64:
    """Boxes xywh_norm → float64 (n, 4), [cx, cy, s, r]; sides below a thousandth of the picture count as that."""
    corners = np.clip(np.array(boxes, np.float64).reshape(-1, 4), -LARGEST, LARGEST) * SIDE
    sides = np.clip(corners[:, 2:], SMALLEST, LARGEST)
    centres = np.clip(corners[:, :2] + np.clip(corners[:, 2:], 0, LARGEST) / 2, -LARGEST, LARGEST)
    area, ratio = sides[:, :1] * sides[:, 1:], sides[:, :1] / sides[:, 1:]
    return np.concatenate([centres, area, ratio], axis=1)


def boxes_of(states: F64) -> F64:
    """[cx, cy, s, r, …] (n, ≥ 4) → xywh_norm (n, 4)."""
    wide = np.sqrt(np.maximum(states[:, 2], SMALLEST**2) * np.maximum(states[:, 3], SMALLEST / LARGEST))
    high = np.maximum(states[:, 2], SMALLEST**2) / wide
    return np.stack([states[:, 0] - wide / 2, states[:, 1] - high / 2, wide, high], axis=1) / SIDE
