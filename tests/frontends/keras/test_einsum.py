"""keras.ops.einsum and EinsumDense: against Keras, which kernels they are, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc.errors import ConvcError
from convc.frontends.einsum import MAX_LETTERS
from convc.frontends.keras import load
from tests.frontends.keras.test_matmul import X, anchors, const, operator, same
from tests.support.configs import layer, sequential
from tests.support.keras import assert_same, keras
from tests.support.keras import sequential as keras_sequential
from tests.support.quick import quick_programs  # noqa: F401

L, k = keras.layers, keras.ops


def equations(*texts: str) -> list[Any]:
    return [lambda *xs, text=text: k.einsum(text, *xs[: text.count(",") + 1]) for text in texts]


def test_two_tensors(tmp_path: Path) -> None:
    texts = ("bij,bjk->bik", "bij,bjk", "bij,bjk->bki", "bij,bjk->ikb", "bij,bjk->kbi", "bij,bjk->bk", "bij,bjk->i")
    same(tmp_path, [(5, 8), (8, 3)], *equations(*texts))


def test_tensors_of_equal_letters(tmp_path: Path) -> None:
    texts = ("bij,bij->b", "bij,bij->bi", "bij,bij->bj", "bij,bij->ji", "bij,bkj->bik", "bij,bkj->bki", "bij,ckj->bik")
    same(tmp_path, [(5, 8), (5, 8)], *equations(*texts))


def test_matrices_and_vectors(tmp_path: Path) -> None:
    graph = same(tmp_path, [(5, 8), (8,)], *equations("bij,bj->bi", "bij,bj->bij", "bij,ck->bik", "bij,bj->ib"))
    assert anchors(graph)[0] == "MatMul"


def test_one_tensor(tmp_path: Path) -> None:
    texts = ("bijk->bkij", "bijk->bj", "bijk->k", "ibj...->b...i", "...", "b...->...b", "cab...")
    graph = same(tmp_path, [(3, 4, 5)], *equations(*texts))
    assert set(anchors(graph)) <= {"Transpose", "ReduceSum"}


def test_ellipses(tmp_path: Path) -> None:
    texts = ("...ij,...kj->...ik", "b...ij,bzkj->b...ik", "...ij,...kj", "b...j,bzkj->b...k", "...ij,...kj->...")
    same(tmp_path, [(3, 5, 8), (1, 2, 8)], *equations(*texts))


def test_ellipses_of_different_ranks(tmp_path: Path) -> None:
    same(tmp_path, [(2, 5, 8), (8, 3)], lambda x, y: k.einsum("...ij,...jk->...ik", x, y[0]))


def test_attention_needs_no_transposes(tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(5, 2, 4), (7, 2, 4)],
        lambda q, v: k.einsum("bhqk,bkhd->bqhd", k.einsum("bqhd,bkhd->bhqk", q, v), v),
    )
    assert anchors(graph) == ["MatMul", "MatMul"]


def test_several_tensors(tmp_path: Path) -> None:
    shapes = [(5, 8), (8, 3), (3, 6)]
    same(tmp_path, shapes, *equations("bij,bjk,bkl->bil", "bij,bjk,bkl->bl", "bij,bjk,bkl->bikl", "bij,bjk,bkl"))
    same(tmp_path, [(8,), (8,), (8,), (8,)], *equations("bi,bi,bi,bi->bi", "bi,bi,bj,bi->bj"))


def test_constants(tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(3, 5, 8)],
        lambda x: k.einsum("bhij,jk->bhik", x, const(8, 6)),
        lambda x: k.einsum("jk,bhij->bhik", const(8, 6), x),
        lambda x: k.einsum("bhij,jnd->bhind", x, const(8, 2, 3)),
        lambda x: k.einsum("bhij,ijk->bhk", x, const(5, 8, 3)),
        lambda x: k.einsum("bhij,hjk->bik", x, const(3, 8, 2)),
    )
    assert set(anchors(graph)) <= {"Dense", "Transpose"}


def test_a_product_with_one_kernel_for_each_head(tmp_path: Path) -> None:
    graph = same(tmp_path, [(3, 5, 8)], lambda x: k.einsum("bhij,hjk->bhik", x, const(3, 8, 2)))
    assert anchors(graph) == ["MatMul"]


DENSE: list[tuple[tuple[int, ...], str, Any, dict[str, Any], list[str]]] = [
    ((5, 8), "abc,cd->abd", (None, 6), {"bias_axes": "d", "activation": "relu"}, ["Dense"]),
    ((5, 8), "abc,cd->abd", (5, 6), {"bias_axes": "bd"}, ["Dense"]),
    ((5, 8), "abc,cd->abd", (5, 6), {"bias_axes": "b"}, ["Dense"]),
    ((5, 8), "abc,cd->abd", [None, 6], {}, ["Dense"]),
    ((8,), "ab,bc->ac", 6, {"bias_axes": "c", "activation": "softmax"}, ["Dense", "Softmax"]),
    ((5, 8), "abc,cd->adb", (6, None), {"bias_axes": "d", "activation": "tanh"}, ["Dense", "Transpose"]),
    ((5, 8), "...x,xy->...y", 6, {"bias_axes": "y"}, ["Dense"]),
    ((3, 5, 8), "...bc,cde->...bde", (None, 2, 3), {"bias_axes": "de", "activation": "gelu"}, ["Dense"]),
    ((3, 5, 8), "ab...,bc->ac...", (6,), {"bias_axes": "c"}, ["MatMul"]),
    ((5, 8), "abc,cde->abde", (None, 2, 3), {"bias_axes": "de", "activation": "relu"}, ["Dense"]),
    ((5, 8), "abc,cde->abde", (None, 2, 3), {"bias_axes": "e", "activation": "softmax"}, ["Dense", "Softmax"]),
    ((5, 8), "abc,bcd->abd", (5, 6), {"bias_axes": "bd"}, ["MatMul"]),
    ((5, 8), "abc,bc->abc", (5, 8), {"bias_axes": "c"}, ["Multiply"]),
    ((3, 5, 8), "abcd,cde->abe", (None, 5), {"bias_axes": "e"}, ["Dense"]),
    ((5, 8), "abc,bd->acd", (None, 6), {}, ["Transpose", "Dense"]),
    ((5, 8), "abc,de->abcde", (None, None, 2, 3), {"bias_axes": "e"}, ["Multiply"]),
    ((5, 8), "abc,c->ab", (None,), {}, ["Dense"]),
    ((5, 8), "abc,cd->ad", (4,), {"bias_axes": "d"}, ["ReduceSum", "Dense"]),
]


@pytest.mark.parametrize(("shape", "text", "sizes", "arguments", "kinds"), DENSE, ids=lambda value: str(value)[:24])
def test_einsum_dense(
    shape: tuple[int, ...], text: str, sizes: Any, arguments: dict[str, Any], kinds: list[str], tmp_path: Path
) -> None:
    graph = assert_same(keras_sequential(shape, L.EinsumDense(text, sizes, **arguments)), tmp_path)
    assert anchors(graph) == kinds


def test_lora_is_merged_into_the_saved_kernel(tmp_path: Path) -> None:
    einsum, dense = L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d"), L.Dense(4)
    model = keras_sequential((5, 8), einsum, dense)
    einsum.enable_lora(2)
    dense.enable_lora(2)
    assert_same(model, tmp_path)


def test_weights_of_einsum_dense_are_drawn() -> None:
    entry = layer("EinsumDense", "dense", equation="abc,cd->abd", output_shape=[None, 6], bias_axes="d")
    assert load(sequential(entry, shape=(5, 8)), weights="random").outputs[0].type.shape == (1, 5, 6)


@pytest.mark.parametrize(
    ("subscripts", "operands", "message"),
    [
        ("ii->i", [X], "has a letter twice in one tensor"),
        ("ij->ii", [X], "has a letter twice in one tensor"),
        ("ij->ik", [X], "has 'k' on one side only"),
        ("...j->j", [X], "has '...' on one side only"),
        ("ij->i...", [X], "on one side only"),
        ("i1->i", [X], "expected letters and '...'"),
        ("i..->i", [X], "expected letters and '...'"),
        ("......->", [X], "expected letters and '...'"),
        ("ij,jk->ik", [X], "wrong number of inputs: expected 2, got 1"),
        ("ijk->i", [X], "a tensor does not fit 'ijk': got (1, 4)"),
        ("i->i", [X], "a tensor does not fit 'i': got (1, 4)"),
        ("ij,jk->ik", [X, [[1.0, 2.0], [3.0, 4.0]]], "differ in the size of an axis that they share"),
        (3, [X], "the equation is wrong"),
        (None, [X], "the equation is wrong"),
        ("a" * (MAX_LETTERS + 1), [X], "the equation is wrong"),
    ],
)
def test_refusals_of_einsum(subscripts: Any, operands: list[Any], message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(operator("Einsum", *operands, subscripts=subscripts))
    (line,) = str(caught.value).splitlines()
    assert line.startswith("layer 'op' (Einsum): ")
    assert message in line


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"equation": "ab,bc"}, "'equation' is wrong: expected '[X],[Y]->[Z]'"),
        ({"equation": "...ab,bc->ac"}, "'equation' is wrong"),
        ({"equation": 5}, "'equation' is wrong"),
        ({"equation": "aba,bc->ac"}, "a letter twice"),
        ({"equation": "abc,cd->abe"}, "has 'e' on one side only"),
        ({"output_shape": None}, "'output_shape' is wrong"),
        ({"output_shape": [None, -1]}, "'output_shape' is wrong"),
        ({"output_shape": [6]}, "'output_shape' does not fit 'abc,cd->abd': expected 2 sizes, got (6,)"),
        ({"output_shape": [3, 6]}, "the size of 'b' is wrong: expected 3 by output_shape, got 5 in (1, 5, 8)"),
        ({"output_shape": [None, None]}, "the size of 'd' is not known"),
        ({"bias_axes": "x"}, "'bias_axes' is wrong: expected letters of 'abd'"),
        ({"bias_axes": ""}, "'bias_axes' is wrong"),
        ({"equation": "abcd,de->abce"}, "the input does not fit 'abcd,de->abce': got (1, 5, 8)"),
        ({"equation": "ab,bd->ad"}, "the input does not fit 'ab,bd->ad': got (1, 5, 8)"),
        ({"quantization_config": {}}, "the layer is quantized"),
    ],
)
def test_refusals_of_einsum_dense(config: dict[str, Any], message: str) -> None:
    entry = layer("EinsumDense", "dense", **{"equation": "abc,cd->abd", "output_shape": [None, 6], **config})
    with pytest.raises(ConvcError) as caught:
        load(sequential(entry, shape=(5, 8)), weights="random")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("layer 'dense' (EinsumDense): ")
    assert message in line
