"""Subjects of core itself: its engine, with each of its ways to run a model."""

from .kernels import EngineSubject

__all__ = ["EngineSubject"]
