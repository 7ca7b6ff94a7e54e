"""An RX 580 without an RX 580: what its compiler says of the kernels that plans for it use."""

import importlib.util
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from edge.compute import kernel as kernel_module
from edge.compute.capability import RX580_8GB
from edge.compute.gcn import GROUP_LDS_BYTES, IDEAL, RX580, Work, faults, filled, projected_s, waves_per_simd
from edge.compute.kernel import Kernel
from edge.compute.offline import (
    CLANG,
    LINKER,
    OPTIONS,
    OfflineError,
    Resources,
    compile_all,
    compile_kernel,
    first_error,
    mesa_target,
    parse_remarks,
    rocm_target,
)
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.plan import plan_graph
from edge.models.zoo.zoo import ZOO, build

REPO = Path(__file__).resolve().parents[2]
REMARKS = """\
<stdin>:82:1: remark: Function Name: finish [-Rpass-analysis=kernel-resource-usage]
   __global const float *bias, int m, int n, float sum) {
<stdin>:82:1: remark:     SGPRs: 0 [-Rpass-analysis=kernel-resource-usage]
<stdin>:82:1: remark:     VGPRs: 0 [-Rpass-analysis=kernel-resource-usage]
<stdin>:82:1: remark:     ScratchSize [bytes/lane]: 0 [-Rpass-analysis=kernel-resource-usage]
<stdin>:82:1: remark:     Occupancy [waves/SIMD]: 0 [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark: Function Name: conv_gemm [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark:     SGPRs: 28 [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark:     VGPRs: 115 [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark:     ScratchSize [bytes/lane]: 16 [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark:     Occupancy [waves/SIMD]: 2 [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark:     SGPRs Spill: 0 [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark:     VGPRs Spill: 4 [-Rpass-analysis=kernel-resource-usage]
<stdin>:169:1: remark:     LDS Size [bytes/block]: 16896 [-Rpass-analysis=kernel-resource-usage]
"""
GEMM = Kernel("conv_gemm.cl", "conv_gemm")
# 160 sums that all live until the loop's end, in a kernel whose groups may have 256 items.
GREEDY = """\
__kernel void greedy(__global const float *x, __global float *y, int n) {
    float sum[160];
    for (int i = 0; i < 160; ++i) sum[i] = x[i];
    for (int k = 0; k < n; ++k) {
        #pragma unroll
        for (int i = 0; i < 160; ++i) sum[i] = mad(sum[i], x[k], x[k + i + 1]);
    }
    for (int i = 0; i < 160; ++i) y[get_global_id(0) * 160 + i] = sum[i];
}
"""
# An array that is indexed by what is known only at run time lies in scratch memory.
SPILLING = """\
__kernel void spilling(__global const int *at, __global float *y) {
    float kept[300];
    for (int i = 0; i < 300; ++i) kept[i] = y[i];
    kept[at[0]] = 1.0f;
    y[get_global_id(0)] = kept[at[1]];
}
"""
HOARDING = """\
__kernel void hoarding(__global float *y) {
    __local float held[9000];
    for (int i = get_local_id(0); i < 9000; i += get_local_size(0)) held[i] = y[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    y[get_global_id(0)] = held[8999 - get_global_id(0)];
}
"""


@pytest.fixture(scope="module", autouse=True)
def compilers_are_here(need):
    need(shutil.which(CLANG) is not None and shutil.which(LINKER) is not None, f"{CLANG} and {LINKER}")


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """Compiles a source for gfx803; its file is named by the test."""
    monkeypatch.setattr(kernel_module, "data_dir", lambda _name: tmp_path)

    def compile_source(text, entry, target=rocm_target):
        file = f"{tmp_path.name}-{entry}.cl"
        (tmp_path / file).write_text(text)
        return compile_kernel(Kernel(file, entry), target(), cache_dir=tmp_path / "cache")

    return compile_source


@cache
def planned(name):
    """Distinct kernels of a model's plan for an RX 580, in order."""
    graph = fuse(import_model(build(name), shapes={"images": (1, 3, *ZOO[name].input_hw)}))
    return list(dict.fromkeys(each.kernel for each in plan_graph(graph, RX580_8GB).launches))


def test_options_are_those_that_the_drivers_get():
    from edge.compute.program import OPTIONS as DRIVERS  # noqa: PLC0415  # because it loads the machine's drivers

    assert " ".join(OPTIONS) == DRIVERS


def test_remarks_of_the_entry_count_and_not_those_of_what_was_inlined():
    assert parse_remarks(REMARKS, GEMM) == Resources(
        vgprs=115, sgprs=28, lds_bytes=16896, scratch_bytes=16, occupancy_waves=2
    )


def test_an_entry_without_remarks_is_an_error_naming_file_and_entry():
    with pytest.raises(OfflineError, match=r"kernels/conv_gemm\.cl has no kernel 'other'"):
        parse_remarks(REMARKS, Kernel("conv_gemm.cl", "other"))


def test_a_missing_figure_is_an_error_and_not_a_zero():
    without = "\n".join(line for line in REMARKS.splitlines() if "VGPRs: 115" not in line)

    with pytest.raises(OfflineError, match="nothing of vgprs of kernel 'conv_gemm'"):
        parse_remarks(without, GEMM)


def test_the_first_line_that_says_error_is_told():
    assert first_error("note: one\n<stdin>:3:1: error: two\nerror: three\n") == "<stdin>:3:1: error: two"
    assert first_error("ld.lld: cannot\n") == "ld.lld: cannot"


def test_a_source_that_does_not_compile_is_an_error_with_file_entry_and_line(compiled):
    with pytest.raises(OfflineError, match=r"kernels/.*broken\.cl, kernel 'broken', for gfx803: <stdin>:1:\d+: error"):
        compiled("__kernel void broken(__global float *y) { y[0] = nothing_like_it; }", "broken")


@pytest.mark.parametrize("target", [rocm_target, mesa_target])
def test_a_function_that_no_library_has_is_an_error(compiled, target):
    text = "float absent(float);\n__kernel void calling(__global float *y) { y[0] = absent(y[1]); }"

    with pytest.raises(OfflineError, match=r"kernel 'calling', for \w+.*: .*absent"):
        compiled(text, "calling", target)


def test_the_gate_catches_too_many_registers(compiled):
    found = compiled(GREEDY, "greedy")

    assert found.vgprs > 160
    assert faults(found) == [f"{found.vgprs} VGPRs, the budget is 128"]


def test_the_gate_catches_scratch_memory(compiled):
    found = compiled(SPILLING, "spilling")

    assert found.scratch_bytes >= 1200
    assert faults(found)[0] == f"scratch {found.scratch_bytes} bytes a lane, must be 0"


def test_the_gate_catches_too_much_local_memory(compiled):
    assert faults(compiled(HOARDING, "hoarding")) == [f"LDS 36000 bytes, a group has {GROUP_LDS_BYTES}"]


def test_a_second_compilation_is_read_from_the_cache(tmp_path, monkeypatch):
    kernel = Kernel("peak.cl", "copy", (("WIDTH", "4"), ("IN_ROWS", "0")))
    first = compile_kernel(kernel, rocm_target(), cache_dir=tmp_path)

    monkeypatch.setattr("edge.compute.offline._build", lambda *_: pytest.fail("compiled again"))

    assert compile_kernel(kernel, rocm_target(), cache_dir=tmp_path) == first


def of_each_kind(kernels):
    """The first of each file, entry, tile, and what else is not a size."""
    return list({variant_class(each): each for each in reversed(kernels)}.values())


def variant_class(kernel):
    return script("gfx803_page").variant_class(kernel)


@cache
def script(name):
    """A module of scripts/, by path: `make gfx803` is not a part of the package."""
    spec = importlib.util.spec_from_file_location(name, REPO / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def faulty(kernels, target, cache_dir):
    found = compile_all(kernels, target, cache_dir=cache_dir)

    assert found.keys() == set(kernels)
    return {each: wrong for each, figures in found.items() if (wrong := faults(figures))}


@pytest.mark.parametrize("target", [rocm_target, mesa_target])
def test_plans_of_two_models_compile_within_the_gate(target, tmp_path):
    kernels = planned("mobilenetv2") + of_each_kind(planned("yolov5s"))
    if target is mesa_target:  # the same sources; one of each activation shows that libclc has all that they call
        kernels = list({(each.file, each.entry, dict(each.defines).get("ACT(v)")): each for each in kernels}.values())

    assert not faulty(list(dict.fromkeys(kernels)), target(), tmp_path)


@pytest.mark.parametrize("target", [rocm_target, mesa_target])
def test_kernels_that_no_plan_has_compile_within_the_gate(target, tmp_path):
    others = script("gfx803_others")
    kernels = of_each_kind([*(each.kernel for each in others.other_operators()), *others.around_models()])

    assert not faulty(kernels, target(), tmp_path)


def test_every_kernel_for_this_card_is_in_a_plan_or_among_the_others():
    others = script("gfx803_others")
    known = {each.kernel for each in others.other_operators()} | set(others.around_models())
    seen = {each.file for each in known} | {each.file for each in planned("mobilenetv2") + planned("yolov5s")}
    texts = {path.name: path.read_text("utf-8") for path in (REPO / "kernels").glob("*.cl")}
    wanted = {name for name, text in texts.items() if "__kernel" in text and not name.startswith("cpu_")}

    assert wanted - seen <= {"conv_any.cl", "reduce.cl"}  # other models of the zoo have those


@pytest.mark.parametrize(
    ("vgprs", "lds_bytes", "items", "waves"),
    [
        (24, 0, 256, 10),  # LLVM's user guide and AMD's table: up to 24 registers ten waves
        (25, 0, 256, 9),
        (64, 0, 256, 4),
        (84, 0, 64, 3),
        (128, 0, 256, 2),
        (129, 0, 64, 1),
        (32, 32768, 256, 2),  # two groups of four waves over four SIMDs
        (32, 32768, 64, 0.5),  # two groups of one wave
        (84, 17000, 64, 0.75),
    ],
)
def test_waves_follow_from_registers_local_memory_and_group_size(vgprs, lds_bytes, items, waves):
    assert waves_per_simd(Resources(vgprs, 16, lds_bytes, 0, 0), items) == waves


def test_a_launch_that_needs_a_little_more_than_one_round_fills_half_of_two():
    full = Work("conv_gemm", 0, 0, (36 * 256,), (256,))
    more = Work("conv_gemm", 0, 0, (37 * 256,), (256,))
    few = Work("conv_gemm", 0, 0, (9 * 256,), (256,))

    assert [filled(each, 36) for each in (full, more, few)] == [1.0, 37 / 72, 0.25]


def test_a_projection_takes_the_longer_of_arithmetic_and_memory_and_each_launch():
    heavy = Work("conv_gemm", int(6.17e9), 1000, (36 * 256,), (256,))
    wide = Work("map", 1000, int(256e6), (36 * 256,), (256,))

    assert projected_s([heavy, wide], RX580, launch_s=0, assumed=IDEAL) == pytest.approx(2e-3)
    careful = projected_s([heavy, wide], RX580, launch_s=1e-5)
    assert careful == pytest.approx(1e-3 / 0.5 + 1e-3 / 0.6 + 2e-5)
