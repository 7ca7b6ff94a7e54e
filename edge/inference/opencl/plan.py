"""Graph → Plan: every tensor gets its place, every operator its launches, all memory one arena.

Nothing here touches a device: a plan for an RX 580 can be made, and its kernels compiled, without one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from ...compute.capability import Capability
from ...i18n import _
from .graph import Graph, Node, understood, unsupported
from .launch import Algorithm, Array, Const, ConvProblem, Launch, Scratch, Step, Tensor, channels_last, row_major
from .layout import Slice, find_channels_last, find_slices

Kind = Literal["arena", "const", "streamed", "input", "output"]
STREAM_FROM: Final = 16 * 1024  # bytes; smaller constants cost more to copy than to keep
MOST_ELEMENTS: Final = 2**31 - 1  # of a buffer: places in it are `int` in the kernels
ALIGN: Final = 64  # elements; 256 bytes, the strictest alignment of vector loads and of Polaris' sub-buffers


@dataclass(slots=True)
class Storage:
    """A piece of memory. kind "arena" shares one buffer with others that live at other times; the rest live alone.

    "streamed": a constant that stays on the host and is copied into the arena when its first reader's turn comes.
    """

    kind: Kind
    elements: int
    dtype: str
    array: Array | None = None  # the content of a constant
    offset: int = 0  # bytes into the arena

    @property
    def in_arena(self) -> bool:
        """Whether it lies in the shared buffer."""
        return self.kind in {"arena", "streamed"}

    @property
    def nbytes(self) -> int:
        """Bytes, rounded up to the alignment."""
        size = self.elements * np.dtype(self.dtype).itemsize
        return -(-size // (4 * ALIGN)) * 4 * ALIGN


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run does, in order. arena_bytes: one buffer; const_bytes: weights; io_bytes: in and out."""

    name: str
    launches: tuple[Launch, ...]
    storages: tuple[Storage, ...]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    arena_bytes: int
    algorithms: Mapping[ConvProblem, Algorithm]

    @property
    def const_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(each.nbytes for each in self.storages if each.kind == "const")

    @property
    def io_bytes(self) -> int:
        """Bytes of inputs and outputs."""
        return sum(each.nbytes for each in self.storages if each.kind in {"input", "output"})

    @property
    def is_countable(self) -> bool:
        """Whether all places in the arena are numbers that kernels can count to."""
        inside = [each for each in self.storages if each.in_arena]
        return all(each.offset // np.dtype(each.dtype).itemsize + each.elements <= MOST_ELEMENTS for each in inside)

    @property
    def total_bytes(self) -> int:
        """Device memory that the plan takes, known before the first allocation."""
        return self.arena_bytes + self.const_bytes + self.io_bytes


Choices = Mapping[ConvProblem, Algorithm]
Choose = Callable[[ConvProblem, Sequence[Algorithm]], Algorithm]
Lowering = Callable[["Planner", Node], None]
LOWERINGS: Final[dict[str, Lowering]] = {}


def lowers(*ops: str) -> Callable[[Lowering], Lowering]:
    """Register how operators become launches."""

    def register(function: Lowering) -> Lowering:
        for op in ops:
            LOWERINGS[op] = function
        return function

    return register


@dataclass(slots=True)
class Planner:
    """What an operator's lowering works with: it asks for tensors and emits launches.

    choose: problem, candidates → the algorithm to use; the tuner's way in. stream: large constants stay on the host.
    """

    graph: Graph
    device: Capability
    choose: Choose
    stream: bool = False
    storages: list[Storage] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    channels_last: set[str] = field(default_factory=set)
    slices: dict[str, Slice] = field(default_factory=dict)
    algorithms: dict[ConvProblem, Algorithm] = field(default_factory=dict)
    consts: dict[int, Tensor] = field(default_factory=dict)

    def const(self, name: str) -> Array | None:
        """The array of a constant, None for "" and for what is computed."""
        return self.graph.constants.get(name)

    def value(self, name: str) -> Tensor:
        """The tensor of a name that is already computed or constant."""
        if name not in self.tensors:
            self.tensors[name] = self.constant(self.graph.constants[name])
        return self.tensors[name]

    def constant(self, array: Array) -> Tensor:
        """A constant tensor, row-major; the same array object is stored once."""
        if id(array) not in self.consts:
            dtype = str(array.dtype)
            kind: Kind = "streamed" if self.stream and array.nbytes >= STREAM_FROM else "const"
            self.storages.append(Storage(kind, max(array.size, 1), dtype, array))
            tensor = Tensor(len(self.storages) - 1, array.shape, row_major(array.shape), 0, dtype)
            self.consts[id(array)] = tensor
        return self.consts[id(array)]

    def new(self, shape: tuple[int, ...], dtype: str, *, nhwc: bool = False, kind: Kind = "arena") -> Tensor:
        """A fresh dense tensor."""
        elements = int(np.prod(shape, dtype=np.int64))
        self.storages.append(Storage(kind, max(elements, 1), dtype))
        strides = channels_last(shape) if nhwc else row_major(shape)
        return Tensor(len(self.storages) - 1, shape, strides, 0, dtype)

    def result(self, name: str) -> Tensor:
        """Where the operator that computes `name` has to write: a tensor of its own, or a part of a concatenation."""
        if name in self.tensors:
            return self.tensors[name]
        kind = self.graph.types[name]
        part, tensor = self.slices.get(name), None
        if part:
            tensor = part.within(self.result(part.whole), kind.shape)
        if tensor is None:
            is_output = name in self.graph.outputs
            nhwc = name in self.channels_last and not is_output
            tensor = self.new(kind.shape, kind.dtype, nhwc=nhwc, kind="output" if is_output else "arena")
        self.tensors[name] = tensor
        return tensor

    def view(self, name: str, tensor: Tensor) -> None:
        """Let `name` be a view of memory that exists; copied when an output or a concatenation wants it elsewhere."""
        if name in self.slices or name in self.graph.outputs:
            self.copy(tensor, self.result(name), node=name)
        else:
            self.tensors[name] = tensor

    def copy(self, x: Tensor, y: Tensor, *, node: str) -> None:
        """Launch a copy between two layouts of one shape; nothing when x lies there already."""
        from .ops.elementwise import copy_step  # noqa: PLC0415  # because elementwise is built on the planner

        if (x.storage, x.offset) != (y.storage, y.offset) or not x.has_strides(y.strides):
            self.emit(node, copy_step(x, y, by_rows=self.device.family == "cpu"), x=x, y=y)

    def row_major(self, tensor: Tensor, *, node: str) -> Tensor:
        """The tensor, or a dense row-major copy of it."""
        if tensor.is_row_major:
            return tensor
        dense = self.new(tensor.shape, tensor.dtype)
        self.copy(tensor, dense, node=f"{node} (rows)")
        return dense

    def pixels(self, tensor: Tensor, *, node: str) -> Tensor:
        """The tensor, or a dense channels-last copy of it."""
        if tensor.pixel_stride is not None:
            return tensor
        dense = self.new(tensor.shape, tensor.dtype, nhwc=True)
        self.copy(tensor, dense, node=f"{node} (pixels)")
        return dense

    def emit(self, node: str, steps: Sequence[Step], **roles: Tensor) -> None:
        """Add launches. The role "y" (and any that begins with it) is written, the others are read."""
        scratch: dict[str, Tensor] = {}
        for step in steps:
            args: list[Tensor | np.int32 | np.float32] = []
            for arg in step.args:
                if isinstance(arg, str):
                    args.append(roles[arg])
                elif isinstance(arg, Const):
                    args.append(self.constant(arg.array))
                elif isinstance(arg, Scratch):
                    if arg.name not in scratch:
                        scratch[arg.name] = self.new((arg.elements,), arg.dtype)
                    args.append(scratch[arg.name])
                else:
                    args.append(arg)
            written = tuple(tensor for role, tensor in roles.items() if role.startswith("y"))
            # Scratch counts as written and read by each launch that names it: it lives from the first to the last.
            touched = tuple(arg for arg in args if isinstance(arg, Tensor))
            self.launches.append(
                Launch(
                    kernel=step.kernel,
                    global_size=step.global_size,
                    local_size=step.local_size,
                    args=tuple(args),
                    reads=touched,
                    writes=tuple(each for each in touched if each in written or each in scratch.values()),
                    node=node,
                    flops=step.flops,
                    bytes=step.bytes,
                )
            )

    def algorithm(self, problem: ConvProblem, found: Sequence[Algorithm]) -> Algorithm:
        """The algorithm for a convolution, remembered for the tuner."""
        chosen = self.choose(problem, found)
        self.algorithms[problem] = chosen
        return chosen


def first_guess(_problem: ConvProblem, found: Sequence[Algorithm]) -> Algorithm:
    """The choice without a tuner: what the static model thinks best."""
    return found[0]


def pick(chosen: Choices, problem: ConvProblem, found: Sequence[Algorithm]) -> Algorithm:
    """What the tuner chose for a problem; the first guess where it chose nothing, or what is no longer offered.

    Its choice may be one that is not offered to anybody else: F(4,3), which passed its error gate.
    """
    wanted = chosen.get(problem)
    if wanted is not None and (wanted in found or dict(wanted.params).get("f") == 4):
        return wanted
    return first_guess(problem, found)


def leanest(_problem: ConvProblem, found: Sequence[Algorithm]) -> Algorithm:
    """The best guess that needs no memory of its own: no Winograd tiles, no partial sums."""
    return next((each for each in found if not each.has_scratch), found[-1])


def plan_graph(graph: Graph, device: Capability, *, choose: Choose = first_guess, stream: bool = False) -> Plan:
    """The plan of a (fused) graph. Raises UnsupportedOpError naming the first node that can't be planned."""
    from . import ops  # noqa: PLC0415  # because the operators register themselves with this module

    ops.load_all()
    nhwc = find_channels_last(graph)
    planner = Planner(graph, device, choose, stream, channels_last=nhwc, slices=find_slices(graph, nhwc))
    for name in graph.inputs:
        kind = graph.types[name]
        planner.tensors[name] = planner.new(kind.shape, kind.dtype, kind="input")
    inputs = {name: planner.tensors[name] for name in graph.inputs}
    for node in graph.nodes:
        lowering = LOWERINGS.get(node.op)
        if lowering is None:
            raise unsupported(node, _("no kernel for it"))
        _refuse_endless(graph, node)
        with understood(node):
            lowering(planner, node)
    outputs = {name: _output(planner, name) for name in graph.outputs}
    arena_bytes = place(planner.storages, planner.launches)
    return Plan(
        name=graph.name,
        launches=tuple(planner.launches),
        storages=tuple(planner.storages),
        inputs=inputs,
        outputs=outputs,
        arena_bytes=arena_bytes,
        algorithms=planner.algorithms,
    )


def _refuse_endless(graph: Graph, node: Node) -> None:
    """Raise UnsupportedOpError when a tensor of the node has more elements than kernels count."""
    for name in filter(None, (*node.inputs, *node.outputs)):
        if math.prod(shape := graph.types[name].shape) > MOST_ELEMENTS:
            text = _("{name!r} of shape {shape} has more than {most} elements")
            raise unsupported(node, text.format(name=name, shape=shape, most=MOST_ELEMENTS))


def _output(planner: Planner, name: str) -> Tensor:
    """An output as dense rows in memory of its own; a constant or an input that is an output is copied there."""
    tensor = planner.value(name)
    if planner.storages[tensor.storage].kind == "output" and tensor.is_row_major and tensor.offset == 0:
        return tensor
    dense = planner.new(tensor.shape, tensor.dtype, kind="output")
    planner.copy(tensor, dense, node=f"{name} (output)")
    return dense


def place(storages: Sequence[Storage], launches: Sequence[Launch]) -> int:
    """Give each arena storage its offset; return the arena's bytes.

    Largest first, each at the lowest gap among those that live at the same time (best fit by offset). A storage lives
    from the first launch that names it to the last.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, launch in enumerate(launches):
        for tensor in launch.reads:
            first.setdefault(tensor.storage, index)
            last[tensor.storage] = index
    waiting = [i for i, each in enumerate(storages) if each.in_arena and i in first]
    placed: list[int] = []
    total = 0
    for index in sorted(waiting, key=lambda i: (-storages[i].nbytes, first[i])):
        beside = [i for i in placed if first[i] <= last[index] and first[index] <= last[i]]
        storages[index].offset = _lowest_gap(storages, beside, storages[index].nbytes)
        placed.append(index)
        total = max(total, storages[index].offset + storages[index].nbytes)
    return total


def _lowest_gap(storages: Sequence[Storage], beside: Sequence[int], nbytes: int) -> int:
    offset = 0
    for each in sorted((storages[i] for i in beside), key=lambda storage: storage.offset):
        if offset + nbytes <= each.offset:
            break
        offset = max(offset, each.offset + each.nbytes)
    return offset
