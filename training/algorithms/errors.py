"""The two ways in which a stage ends early without being broken."""

from __future__ import annotations

DONE = 0
USER_CAN_FIX = 2
STOPPED = 75


class InputError(Exception):
    """What the person who started the stage can put right: says what was found, what was expected and what to do."""


class Stopped(Exception):
    """The stage was asked to stop, did so at a checkpoint, and goes on from there when started again."""
