"""Which pictures of a long clip are looked at, told from its packets before anything is decoded.

Short clips are looked at evenly. Where that would be more pictures than the budget, key pictures come first, because
each of them can be decoded alone, and then those around which the most moves: what an encoder writes for a picture is
what has changed since the last one, so bytes show motion for nothing. Groups without a chosen picture are not decoded.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from av.container import InputContainer
from av.video.stream import VideoStream

KEYS_SHARE = 0.5  # of the budget, at most: the rest is for motion
LONGEST_BLIND_S = 10.0  # a stretch without a key picture is looked at this often all the same
WINDOW_S = 0.5  # before and after a picture: whose bytes tell whether something moves


@dataclass(frozen=True, slots=True)
class Coded:
    """A picture as the file has it. pts: when it is shown, in the stream's units. size: bytes."""

    pts: int
    key: bool
    size: int


@dataclass(frozen=True, slots=True)
class Shown:
    """The same in the order of showing. time_s: since the first one. orphan: it needs the group before its own, too."""

    time_s: float
    key: bool
    size: int
    orphan: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """What is to be decoded. wanted: pts → (number, time_s). needed: for each packet, whether the decoder gets it.

    count, end_s: pictures in the file, and when the last one is shown.
    """

    wanted: dict[int, tuple[int, float]]
    needed: Sequence[bool]
    count: int
    end_s: float


def route(coded: Sequence[Coded], *, time_base_s: float, sample_fps: float, half_step_s: float, budget: int) -> Route:
    """The way through a clip whose packets, in the order of decoding, are `coded`; each has a pts of its own."""
    order = sorted(range(len(coded)), key=lambda index: coded[index].pts)
    first, orphans = coded[order[0]].pts, _orphans(coded)
    shown = [Shown((coded[i].pts - first) * time_base_s, coded[i].key, coded[i].size, i in orphans) for i in order]
    chosen = choose(shown, sample_fps=sample_fps, half_step_s=half_step_s, budget=budget)
    wanted = {coded[order[number]].pts: (number, shown[number].time_s) for number in chosen}
    needed, is_needed = [False] * len(coded), False
    for index in reversed(range(len(coded))):  # a picture needs all before it, back to its key picture
        is_needed = needed[index] = is_needed or coded[index].pts in wanted
        is_needed = is_needed and not coded[index].key
    return Route(wanted, needed, len(coded), shown[-1].time_s)


def choose(shown: Sequence[Shown], *, sample_fps: float, half_step_s: float, budget: int) -> list[int]:
    """Numbers of the pictures to look at, in order, `budget` at most (≥ 2). shown: in the order of showing.

    The first is always among them.
    """
    even = on_grid([each.time_s for each in shown], sample_fps=sample_fps, half_step_s=half_step_s)
    even = sorted({_at_home(shown, number) for number in even})
    if len(even) <= budget:
        return even
    keys = [number for number, each in enumerate(shown) if each.key]
    if len(keys) == len(shown):  # every picture stands alone: bytes tell how much there is to see, not what moves
        return thinned(even, budget)
    keys = thinned(keys, max(1, int(budget * KEYS_SHARE)))
    chosen = set(keys) | {0}
    for number in even:
        if len(chosen) >= budget:
            break
        if _since_s(shown, sorted(chosen), number) >= LONGEST_BLIND_S:
            chosen.add(number)
    step_s = 1 / sample_fps
    activity = _activity(shown)
    for number in sorted(even, key=lambda each: (-activity[each], each)):
        if len(chosen) >= budget:
            break
        if not any(abs(shown[key].time_s - shown[number].time_s) < step_s / 2 for key in _around(keys, number)):
            chosen.add(number)
    return sorted(chosen)


def on_grid(times_s: Sequence[float], *, sample_fps: float, half_step_s: float) -> list[int]:
    """Numbers of the pictures that are due at `sample_fps`: of each step the first, and no rush after a gap."""
    due_s, found = 0.0, []
    for number, time_s in enumerate(times_s):
        if time_s + half_step_s >= due_s:
            due_s = next_due_s(time_s, sample_fps=sample_fps, half_step_s=half_step_s)
            found.append(number)
    return found


def next_due_s(time_s: float, *, sample_fps: float, half_step_s: float) -> float:
    """The grid point after this picture; not the last one plus a step, or a gap would be caught up in a rush."""
    return (int((time_s + half_step_s) * sample_fps) + 1) / sample_fps


def thinned(numbers: Sequence[int], most: int) -> list[int]:
    """`most` of the numbers, evenly spread, the first among them; all where there are no more."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[place * len(numbers) // most] for place in range(most)]


def _at_home(shown: Sequence[Shown], number: int) -> int:
    """The picture itself, or, for an orphan, the next that is none: usually the key picture right after it."""
    return next((each for each in range(number, len(shown)) if not shown[each].orphan), 0)


def _activity(shown: Sequence[Shown]) -> list[float]:
    """Of each picture, the mean bytes of the pictures around it that tell of changes only."""
    times = [each.time_s for each in shown]
    sums = [0, *accumulate(0 if each.key else each.size for each in shown)]
    counts = [0, *accumulate(not each.key for each in shown)]
    found = []
    for time_s in times:
        low, high = bisect_left(times, time_s - WINDOW_S), bisect_right(times, time_s + WINDOW_S)
        found.append((sums[high] - sums[low]) / max(1, counts[high] - counts[low]))
    return found


def _around(numbers: Sequence[int], number: int) -> Sequence[int]:
    """The neighbours of `number` in sorted numbers."""
    place = bisect_left(numbers, number)
    return numbers[max(0, place - 1) : place + 1]


def _since_s(shown: Sequence[Shown], chosen: Sequence[int], number: int) -> float:
    """Seconds from the last chosen picture before this one, which there is: the first is always chosen."""
    return shown[number].time_s - shown[chosen[bisect_right(chosen, number) - 1]].time_s


def _orphans(coded: Sequence[Coded]) -> set[int]:
    """Packets that come after a key picture and are shown before it: they need the group before, too."""
    found, key_pts = set(), None
    for index, each in enumerate(coded):
        if each.key:
            key_pts = each.pts
        elif key_pts is None or each.pts < key_pts:
            found.add(index)
    return found


def survey(container: InputContainer, stream: VideoStream) -> list[Coded] | None:
    """All packets of the clip, in the order of decoding; None where they do not say when they are shown.

    Reads the container to its end. Raises FFmpegError where it can't be followed.
    """
    coded: list[Coded] = []
    for packet in container.demux(stream):
        if not packet.size:  # the flush at the end
            continue
        if packet.pts is None:
            return None
        coded.append(Coded(packet.pts, packet.is_keyframe, packet.size))
    if not coded or not coded[0].key or len({each.pts for each in coded}) < len(coded):
        return None
    return coded
