"""Runs compiled libraries: needs NumPy and the standard library only."""

from convc.artifact import LaunchInfo, Metadata, TensorSpec
from convc.runtime.device_array import DeviceArray
from convc.runtime.module import LaunchTime, Module, load

__all__ = ["DeviceArray", "LaunchInfo", "LaunchTime", "Metadata", "Module", "TensorSpec", "load"]
