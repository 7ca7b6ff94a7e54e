"""How kernels/conv_gemm.cl may cut a product: the tiles, which of them fit a device, and how an algorithm names one."""

from dataclasses import dataclass
from typing import Final

from ....compute.capability import Capability
from ..launch import Algorithm
from .conv_gpu_parts import ceil_div


@dataclass(frozen=True, slots=True)
class Tile:
    """How conv_gemm.cl cuts a product: BM × BN a group, TM × TN an item, K in steps of BK shared by KS slices of items.

    buffers: K tiles held in local memory, 2 saves a barrier a step.
    """

    bm: int
    bn: int
    bk: int
    tm: int
    tn: int
    ks: int = 1
    buffers: int = 1

    @property
    def items(self) -> int:
        """Work-items of a group."""
        return self.bm // self.tm * (self.bn // self.tn) * self.ks

    @property
    def local_bytes(self) -> int:
        """Local memory of a group: as LOCAL4 in conv_gemm.cl."""
        tiles = self.buffers * self.bk * (self.bm + 4 + self.bn)
        return 4 * max(tiles, self.ks // 2 * self.bm * self.bn)

    @property
    def lanes(self) -> int:
        """Items of a row beside each other in a wave: 8 × 8 makes one of GCN, 8 × 4 one of NVIDIA."""
        across = self.bn // self.tn
        return max(width for width in range(1, 9) if across % width == 0)

    def fits(self, device: Capability) -> bool:
        """Whether a group of the device can hold it."""
        return self.local_bytes <= device.local_bytes and self.items <= device.max_group

    def held(self, vector: int) -> int:
        """Registers of an item that live from one K tile to the next: sums, both loads, three addresses a load of x."""
        a, b = ceil_div(self.bm * self.bk, vector * self.items), ceil_div(self.bk * self.bn, 4 * self.items)
        return self.tm * self.tn + a * (vector + 3) + 4 * b

    def loads(self, vector: int) -> bool:
        """Whether the items can share the loads evenly: each keeps one column of both tiles."""
        a, b = self.bk // vector, self.bn // 4
        return self.items % a == 0 and self.items % b == 0


TILES: Final = (
    Tile(128, 128, 8, 8, 8, buffers=2),
    Tile(128, 128, 16, 8, 8),
    Tile(128, 80, 8, 8, 8, buffers=2),
    Tile(128, 64, 8, 8, 8, buffers=2),
    Tile(128, 64, 16, 8, 8),
    Tile(64, 128, 16, 8, 8, buffers=2),
    Tile(64, 128, 8, 8, 8, buffers=2),
    Tile(64, 64, 8, 8, 8, buffers=2),
    Tile(128, 64, 16, 8, 4),
    Tile(64, 64, 16, 8, 4),
    Tile(64, 64, 16, 8, 4, buffers=2),
    Tile(64, 64, 32, 8, 4, ks=2),
    Tile(64, 64, 32, 8, 8, ks=4),
    Tile(32, 64, 32, 8, 4, ks=4),
    Tile(32, 32, 64, 4, 4, ks=4),
    Tile(64, 64, 16, 4, 4),
    Tile(128, 32, 16, 8, 4),
    Tile(64, 32, 16, 4, 4),
    Tile(32, 64, 32, 4, 4, ks=2),
    Tile(32, 32, 32, 4, 4, ks=4),
    Tile(32, 32, 32, 4, 4, buffers=2),
    Tile(64, 16, 32, 4, 4, ks=4),
    Tile(16, 32, 64, 4, 4, ks=8),
    Tile(16, 16, 64, 4, 4, ks=16),
)


def tile_of(algorithm: Algorithm) -> tuple[Tile, int]:
    """The tile and the number of splits that an algorithm's parameters name."""
    values = dict(algorithm.params)
    splits = values.get("splits", 1)
    return Tile(**{name: values[name] for name in Tile.__dataclass_fields__}), splits


def tile_params(tile: Tile, splits: int) -> tuple[tuple[str, int], ...]:
    """Parameters that tile_of reads back."""
    return (*((name, getattr(tile, name)) for name in Tile.__dataclass_fields__), ("splits", splits))
