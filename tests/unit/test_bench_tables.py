"""The tables of `tigrillo bench`."""

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.commands.bench_tables import print_tables
from edge.inference.timing import Row, row_values

ROW = Row(
    name="efficientnet-lite0",
    batch=16,
    ms_opencl=1234.5678,
    ms_onnxruntime=1122.334,
    ratio=1.1,
    images_per_s=1234.5,
    gflops=123.4,
    gflop_s=43210.0,
    share=0.52,
    device_ms=987.654,
    device_share=0.57,
    build_s=123.4,
    programs_built=123,
    programs_loaded=45,
    memory_mb=12345.6,
    launches=1234,
    enqueue_ms=12.34,
    host_ms=0.12,
    error=1e-6,
)
DEVICE = {"device": "Mesa: gfx803", "driver": "OpenCL 1.2"}


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_tables_show_the_device_alone_and_fit_120_characters(capsys, monkeypatch, language):
    monkeypatch.setenv("TIGRILLO_LANG", language)

    print_tables(DEVICE | {"models": [row_values(ROW)]})

    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if "1234" in line).split()
    assert row[:4] == ["efficientnet-lite0", "16", "1235.00", "1234.0"]  # row_values keeps four digits
    assert row[4:] == ["43210", "52%", "987.70", "57%", "1122.00", "1.10", "1e-06"]
    assert "123.4 (123+45)" in "\n".join(lines)
    assert max(map(len, lines)) <= 120
    assert "…" not in "".join(lines)
    assert language != "en" or "device ms device share ONNX Runtime ms" in lines[1]


def test_a_table_of_the_cpu_alone_has_no_costs_of_a_device(capsys):
    print_tables(DEVICE | {"models": [row_values(Row("m", 1, ms_onnxruntime=2.0, images_per_s=500.0))]})

    assert "enqueue" not in capsys.readouterr().out


def test_a_model_that_failed_is_a_row(capsys):
    print_tables(DEVICE | {"models": [{"name": "m", "batch": 1, "failure": "no room"}]})

    assert capsys.readouterr().out.splitlines()[-1].split() == ["m", "1", "failed"]


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "601"])
def test_seconds_that_are_no_time_end_with_2_and_the_range(seconds):
    done = CliRunner().invoke(app, ["bench", "--seconds", seconds])

    assert done.exit_code == 2
    assert "--seconds" in done.output
    assert "than or equal to" in done.output
