"""The errors that users see: each says subject, what is wrong, what was expected, what came, and a way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `subject` names the layer, file or option that it is about; "" is filled in later."""

    subject: str
    message: str
    expected: str = ""
    received: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.subject}: {self.message}" if self.subject else self.message
        if self.expected and self.received:
            text += f": expected {self.expected}, got {self.received}"
        elif self.expected:
            text += f": expected {self.expected}"
        elif self.received:
            text += f": got {self.received}"
        if self.remedy:
            text += f" ({self.remedy})"
        return " ".join(text.split())


class ConvcError(Exception):
    """Base of every error that convc raises on purpose. `problems` holds one entry per thing that is wrong."""

    problems: tuple[Problem, ...]

    def __init__(self, subject: str, message: str, *, expected: str = "", received: str = "", remedy: str = "") -> None:
        super().__init__(subject, message)
        self.problems = (Problem(subject, message, expected, received, remedy),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> ConvcError:
        """One error of this class that carries several problems."""
        problems = tuple(problems)
        assert problems, "an error needs a problem"
        error = cls(problems[0].subject, problems[0].message)
        error.problems = problems
        return error

    def about(self, subject: str) -> ConvcError:
        """The same error with `subject` put where a problem has none yet."""
        return type(self).of(p if p.subject else replace(p, subject=subject) for p in self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class UnsupportedError(ConvcError):
    """The model is sound, but holds something that convc cannot compile."""


class ModelError(ConvcError, ValueError):
    """The model file or config is damaged, foreign or contradicts itself."""


class ShapeError(ConvcError, ValueError):
    """Shapes or attributes that do not fit each other."""


class TargetError(ConvcError):
    """The asked-for machine cannot be compiled for, or is not this one."""


class ArtifactError(ConvcError):
    """A compiled library that is damaged, of another version, or used against its contract."""


def merge(errors: Sequence[ConvcError]) -> ConvcError:
    """One error with all problems of `errors`: of their class where they share it, else `ModelError`."""
    classes = {type(error) for error in errors}
    kind = classes.pop() if len(classes) == 1 else ModelError
    return kind.of(problem for error in errors for problem in error.problems)
