"""From the parsed graph to fusion groups: rules that are exact up to rounding, and what they decided."""

from convc.passes.pipeline import PIPELINE, Optimized, optimize
from convc.passes.report import Decision, Report

__all__ = ["PIPELINE", "Decision", "Optimized", "Report", "optimize"]
