"""The one error that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend; the message names the value, what is known, and what to type next."""


class UsageError(UserError):
    """The command itself was wrong: an unknown name, a missing option."""
