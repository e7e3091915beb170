"""An interrupt is a KeyboardInterrupt whatever became of it on the way, and the handler is put back."""

from __future__ import annotations

import signal
import threading

import pytest

from convc.build.interrupts import kept


@pytest.fixture(autouse=True)
def _handler() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_became_another_error() -> None:
    def as_tvm_does() -> None:
        try:
            interrupt()
        except KeyboardInterrupt:
            raise RuntimeError from None

    with pytest.raises(KeyboardInterrupt) as caught, kept():
        as_tvm_does()
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_as_it_is() -> None:
    with pytest.raises(KeyboardInterrupt), kept():
        interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_errors_stay_what_they_are() -> None:
    def fail() -> None:
        raise RuntimeError("own")

    with pytest.raises(RuntimeError, match="own"), kept():
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_caller_is_left_alone() -> None:
    calls: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        with kept():
            interrupt()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert calls == [signal.SIGINT]


def test_other_threads_may_compile() -> None:
    done: list[bool] = []

    def work() -> None:
        with kept():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
