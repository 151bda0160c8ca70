"""Errors that a user can fix. They end in a message of one line, without a traceback."""

__all__ = ["UserError"]


class UserError(ValueError):
    """An error whose message names what is wrong, what was found and wanted, and the fix if known.

    On the command line the message is printed and the exit code is 2.
    """
