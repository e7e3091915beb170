"""Products of two computed tensors: every place of the batch axes, tall, wide, vector-like and odd sizes, long sums."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import MatMul
from tests.cases.case import Case, case


def matmul(name: str, equation: str, left: Shape, right: Shape, *, constants: tuple[int, ...] = ()) -> Case:
    """A product by its einsum equation: "bik,bkj->bij"."""
    operands, out = equation.split("->")
    a, b = operands.split(",")
    letters = sorted(set(a + b))
    labels = (tuple(letters.index(letter) for letter in part) for part in (a, b, out))
    return case(name, MatMul(*labels), left, right, constants=constants)


_PLAIN = "ik,kj->ij"

CASES: list[Case] = [
    *(matmul(f"plain_{i}x{k}x{j}", _PLAIN, (i, k), (k, j))
      for i, k, j in ((1, 1, 1), (1, 7, 1), (1, 5, 16), (1, 64, 100), (3, 1, 5), (2, 3, 4), (7, 10, 17), (17, 33, 7),
                      (14, 16, 16), (15, 16, 32), (29, 12, 48), (64, 64, 64), (100, 9, 3), (130, 4, 1), (3, 20, 130))),
    matmul("left_transposed", "ki,kj->ij", (9, 19), (9, 21)),
    matmul("right_transposed", "ik,jk->ij", (19, 9), (37, 9)),
    matmul("both_transposed", "ki,jk->ij", (9, 19), (21, 9)),
    matmul("batch", "bik,bkj->bij", (3, 5, 7), (3, 7, 11)),
    matmul("batch_transposed", "bik,bjk->bij", (2, 13, 8), (2, 17, 8)),
    matmul("batch_two", "abik,abkj->abij", (2, 3, 4, 5), (2, 3, 5, 6)),
    matmul("batch_of_left_only", "bcik,ckj->bcij", (2, 3, 4, 5), (3, 5, 6)),
    matmul("batch_of_right_only", "ik,bkj->bij", (15, 6), (3, 6, 20)),
    matmul("batch_crossed", "aik,bkj->abij", (2, 9, 5), (3, 5, 18)),
    matmul("batch_inside", "ibk,kbj->ibj", (5, 3, 7), (7, 3, 18)),
    matmul("batch_last", "kib,kb->ib", (6, 5, 10), (6, 10)),
    matmul("batch_last_odd", "kib,jkb->ijb", (3, 4, 7), (2, 3, 7)),
    matmul("scores", "btnh,bsnh->bnts", (2, 11, 3, 8), (2, 13, 3, 8)),
    matmul("context", "bnts,bsnh->btnh", (2, 3, 11, 13), (2, 13, 3, 8)),
    matmul("context_odd", "bnts,bsnh->btnh", (1, 2, 17, 5), (1, 5, 2, 7)),
    matmul("vit_scores", "btnh,bsnh->bnts", (1, 50, 2, 64), (1, 50, 2, 64)),
    matmul("vit_context", "bnts,bsnh->btnh", (1, 2, 50, 50), (1, 50, 2, 64)),
    matmul("vector_by_matrix", "bk,bkj->bj", (2, 9), (2, 9, 20)),
    matmul("matrix_by_vector", "bk,bjk->bj", (3, 17), (3, 33, 17)),
    matmul("two_sums", "bijk,jkc->bic", (2, 3, 4, 5), (4, 5, 6)),
    matmul("two_sums_crossed", "bijk,kjc->bic", (2, 3, 4, 5), (5, 4, 6)),
    matmul("outer", "i,j->ij", (5,), (18,)),
    matmul("sum_1024", _PLAIN, (5, 1024), (1024, 9)),
    matmul("sum_1536", _PLAIN, (17, 1536), (1536, 33)),
    matmul("sum_1031_prime", _PLAIN, (3, 1031), (1031, 7)),
    matmul("sum_2053_prime_rows", "bik,bjk->bij", (1, 31, 2053), (1, 4, 2053)),
    matmul("sums_long", "ijk,jkc->ic", (3, 40, 36), (40, 36, 5)),
    matmul("constant_left", "ik,bkj->bij", (15, 6), (2, 6, 10), constants=(0,)),
    matmul("constant_right", "bik,bkj->bij", (2, 15, 6), (2, 6, 10), constants=(1,)),
]  # fmt: skip
