"""The one error of the build."""


class BuildError(Exception):
    """The extension cannot be built; the message says why and what to do."""
