from __future__ import annotations

import pytest

from convc.build.program import identifier


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", "resnet50"),
        ("mobilenet-v2 1.0", "mobilenet_v2_1_0"),
        ("50shades", "m_50shades"),
        ("float", "m_float"),
        ("class", "m_class"),
        ("pthread", "m_pthread"),
        ("linux", "m_linux"),
        ("int32_t", "int32_T"),
        ("__init__", "init"),
        ("", "model"),
        ("???", "model"),
        ("模型", "model"),
        ('x"; int y[', "x___int_y"),
        ("a" * 100, "a" * 56),
    ],
)
def test_identifier(name: str, expected: str) -> None:
    assert identifier(name) == expected
    assert identifier(expected) == expected


def test_identifier_avoids_what_is_taken() -> None:
    assert identifier("x", {"x", "x_2"}) == "x_3"
