"""YAML's traps are faults with a place."""

import pytest

from edge.yaml_marks import parse


@pytest.mark.parametrize(
    ("text", "path", "line", "col", "says"),
    [
        ("at: 22:30\n", "at", 1, 1, "'22:30'"),
        ("a: 1\na: 2\n", "a", 2, 1, "twice, first on line 1"),
        ("list:\n  - no\n", "list[0]", 2, 5, "'no'"),
        ("id: 010\n", "id", 1, 1, "octal"),
        ("x: !!python/object:os.system {}\n", "x", 1, 1, "tag"),
        ("x: !!binary aGVsbG8=\n", "x", 1, 1, "tag"),
        ("x: !local {a: 1}\n", "x", 1, 1, "tag"),
        ('x: "a\\0b"\n', "x", 1, 1, "control character"),
        ("x: 1e400\n", "x", 1, 1, "too large"),
        pytest.param("x: " + "9" * 5000 + "\n", "x", 1, 1, "too large", id="5000 digits"),
        pytest.param("x: " + "[" * 3000 + "]" * 3000, "(file)", 1, 1, "too deep", id="deep"),
        ("x: !local 5\n", "x", 1, 1, "tag"),
        ("a: [1, 2\n", "(file)", 2, 1, "not YAML"),
        ("a: &x [*x]\n", "a[0]", 1, 4, "contains itself"),
        ("b: 1\na: \x07\n", "(file)", 2, 4, "not YAML"),
    ],
)
def test_each_trap_is_one_fault_with_its_place(text, path, line, col, says):
    document = parse(text)

    (fault,) = document.faults
    assert (fault.path, fault.line) == (path, line)
    assert says in fault.message
    assert fault.col >= col


def test_plain_values_have_the_types_people_expect():
    document = parse("a: 1e3\nb: '22:30'\nc: true\nd: 2026-11-22\ne: ~\nf: 1_000\ng: 0.5\nh: '010'\n")

    assert not document.faults
    assert document.data == {
        "a": 1000.0, "b": "22:30", "c": True, "d": "2026-11-22", "e": None, "f": 1000, "g": 0.5, "h": "010",
    }  # fmt: skip


def test_every_value_has_a_place():
    document = parse("a:\n  - b: 1\n    c: [2, 3]\n")

    assert document.place(("a", 0, "c", 1)) == (3, 12)
    assert document.place(("a", 0, "not there")) == (2, 5)


@pytest.mark.timeout(10)
def test_aliases_of_aliases_are_refused_before_they_fill_memory():
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]

    document = parse("\n".join(lines))

    assert document.data is None
    assert "values" in document.faults[-1].message
