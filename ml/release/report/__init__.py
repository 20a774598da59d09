"""`report.html`: a release as one page for people. A view of the record; nothing decides by it."""

from ml.release.report.page import render, write

__all__ = ["render", "write"]
