"""Plain SORT as a reference: Bewley et al. 2016, arXiv:1602.00763, one track at a time, one picture a step.

Written from the paper, with the numbers of the authors' sort.py, in pixels of a 1280 × 720 picture. Published defaults
are max_age=1, min_hits=3, iou_threshold=0.3 (the paper's section 3.4 says T_lost = 1; all three are the defaults of
`Sort` and of the command line in github.com/abewley/sort).
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

PICTURE = np.array([1280, 720, 1280, 720], float)
F = np.eye(7) + np.diag([1, 1, 1], 4)
H = np.eye(4, 7)
R = np.diag([1.0, 1.0, 10.0, 10.0])
Q = np.diag([1.0, 1.0, 1.0, 1.0, 0.01, 0.01, 0.0001])


def to_z(box):
    x, y, w, h = np.array(box) * PICTURE
    return np.array([x + w / 2, y + h / 2, w * h, w / h])


def to_box(x):
    w = np.sqrt(x[2] * x[3])
    h = x[2] / w
    return np.array([x[0] - w / 2, x[1] - h / 2, w, h]) / PICTURE


def iou(a, b):
    w, h = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]), min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h) if w > 0 and h > 0 else 0.0


class One:
    def __init__(self, number, box):
        self.id, self.missed, self.streak = number, 0, 0
        self.x = np.concatenate([to_z(box), np.zeros(3)])
        self.P = np.diag([10.0, 10.0, 10.0, 10.0, 1e4, 1e4, 1e4])

    def predict(self):
        if self.x[6] + self.x[2] <= 0:
            self.x[6] = 0
        self.x, self.P = F @ self.x, F @ self.P @ F.T + Q
        if self.missed:
            self.streak = 0
        self.missed += 1
        return to_box(self.x)

    def update(self, box):
        gain = self.P @ H.T @ np.linalg.inv(H @ self.P @ H.T + R)
        self.x = self.x + gain @ (to_z(box) - H @ self.x)
        self.P = (np.eye(7) - gain @ H) @ self.P
        self.missed = 0
        self.streak += 1


class Sort:
    """max_age: pictures that a track lives unseen. min_hits: pictures in a row before it is told, but at the start."""

    def __init__(self, max_age=1, min_hits=3, iou_threshold=0.3):
        self.max_age, self.min_hits, self.iou_threshold = max_age, min_hits, iou_threshold
        self.tracks, self.begun, self.pictures = [], 0, 0

    def step(self, boxes):
        """The identity of each box of the next picture; None where SORT does not tell one yet."""
        self.pictures += 1
        expected = [each.predict() for each in self.tracks]
        shared = np.array([[iou(box, other) for other in expected] for box in boxes]).reshape(len(boxes), len(expected))
        of = {}
        for row, column in zip(*linear_sum_assignment(-shared), strict=True):
            if shared[row, column] >= self.iou_threshold:
                self.tracks[column].update(boxes[row])
                of[row] = self.tracks[column]
        for row, box in enumerate(boxes):
            if row not in of:
                self.begun += 1
                of[row] = One(self.begun, box)
                self.tracks.append(of[row])
        self.tracks = [each for each in self.tracks if each.missed <= self.max_age]
        early = self.pictures <= self.min_hits
        in_order = [of[row] for row in range(len(boxes))]
        return [each.id if early or each.streak >= self.min_hits else None for each in in_order]
