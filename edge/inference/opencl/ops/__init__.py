"""One file a family of operators: how each becomes kernel launches."""

from importlib import import_module

FAMILIES = (
    "elementwise",
    "quant",
    "conv",
    "matmul",
    "norm",
    "pool",
    "reduce",
    "resize",
    "shape",
    "pad",
    "index",
    "scatter",
    "masks",
    "scan",
    "select",
    "gridsample",
    "einsum",
    "lrn",
    "regions",
)


def load_all() -> None:
    """Import every family, so that its operators are registered with the planner."""
    for name in FAMILIES:
        import_module(f".{name}", __package__)
