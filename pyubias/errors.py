"""The one kind of error that a user can mend: a message of one line, and no traceback."""

__all__ = ["UserError"]


class UserError(ValueError):
    """Says what, what it got, what it wanted, and, if known, the fix.

    On the command line the message is printed and the exit code is 2.
    """
