"""Softmax and its logarithm over one axis and several, and values that overflow exp."""

from __future__ import annotations

from convc.ops import LogSoftmax, Softmax
from tests.cases.case import Case, case

CASES: list[Case] = [
    case("classes", Softmax((1,)), (1, 10)),
    case("classes_1000", Softmax((1,)), (2, 1000)),
    case("one_class", Softmax((1,)), (3, 1)),
    case("rank1", Softmax((0,)), (7,)),
    case("batch_axis", Softmax((0,)), (3, 5)),
    case("rank3_last", Softmax((2,)), (2, 5, 17)),
    case("rank3_middle", Softmax((1,)), (2, 5, 6)),
    case("image_channels", Softmax((3,)), (1, 4, 5, 21)),
    case("image_spatial", Softmax((1, 2)), (2, 4, 5, 3)),
    case("two_apart", Softmax((1, 3)), (2, 3, 4, 5)),
    case("everything", Softmax((0, 1, 2)), (2, 3, 4)),
    case("large", Softmax((1,)), (2, 8), scale=100.0),
    case("huge", Softmax((1,)), (1, 6), special=(1e4, -1e4, 9999.0, 1e4, 0.0, -1e30)),
    case("equal", Softmax((1,)), (1, 4), special=(5.0, 5.0, 5.0, 5.0)),
    case("log_classes", LogSoftmax((1,)), (2, 10)),
    case("log_batch_axis", LogSoftmax((0,)), (3, 5)),
    case("log_rank3_middle", LogSoftmax((1,)), (2, 5, 6)),
    case("log_image_spatial", LogSoftmax((1, 2)), (2, 4, 5, 3)),
    case("log_everything", LogSoftmax((0, 1, 2)), (2, 3, 4)),
    case("log_large", LogSoftmax((1,)), (2, 8), scale=100.0),
    case("tiny", Softmax((1,)), (1, 5), scale=1e-20),
]
