"""Readers of model formats. Imported as `convc.frontends`; the folder at the top level is where the source lives."""

from __future__ import annotations

if __name__ != "convc.frontends":
    raise ImportError("import convc.frontends: the folder 'frontends' is not a package of its own")
