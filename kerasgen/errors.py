"""What can go wrong, one class per exit code."""


class KerasgenError(Exception):
    """An error that the user can act on. Its text is one line."""

    exit_code = 70


class ParityError(KerasgenError):
    """The module answers differently from the model."""

    exit_code = 1


class UsageError(KerasgenError):
    """What was asked for cannot be done that way: a missing extra, options that exclude each other."""

    exit_code = 2


class InvalidModelError(KerasgenError):
    """The file is damaged, incomplete or contradicts itself."""

    exit_code = 3


class UnsupportedModelError(KerasgenError):
    """The file is sound, but holds something that cannot be exported."""

    exit_code = 4


class FileError(KerasgenError):
    """A file cannot be read or written."""

    exit_code = 5
