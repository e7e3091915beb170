"""Options and fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from convc.build.program import Program

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` compares with tests/golden/<name>; with --update-golden it writes the file and passes."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), f"there is no golden text {name}; write it with pytest --update-golden"
        assert text == path.read_text(encoding="utf-8"), f"{name} differs; pytest --update-golden accepts the new text"

    return check


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    """The programs of the libraries that are linked during the test, in order."""
    from convc.build import emit
    from convc.build.link import link

    linked: list[Program] = []

    def record(program: Program, *rest: Any) -> None:
        linked.append(program)
        link(program, *rest)

    monkeypatch.setattr(emit, "link", record)
    return linked
