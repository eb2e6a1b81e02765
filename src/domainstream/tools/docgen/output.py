"""The file that a document is written to, or compared with."""

from pathlib import Path

from domainstream.errors import DomainStreamError


class DocumentFileError(DomainStreamError):
    """The file of a document cannot be written or read."""


def write(text: str, path: Path) -> None:
    """Write a document to a file; raise `DocumentFileError` where that fails."""
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DocumentFileError(f"{path} cannot be written: {error.strerror}. Name another file") from error


def difference(text: str, path: Path) -> str | None:
    """Return why a file is not the document `text`, and how to update it; None where it is.

    Raises `DocumentFileError` for a file that cannot be read.
    """
    again = f"write it again, with --output {path} in place of --check {path}"
    try:
        committed = path.read_bytes()
    except FileNotFoundError:
        return f"{path} does not exist; {again}"
    except OSError as error:
        raise DocumentFileError(f"{path} cannot be read: {error.strerror}") from error
    # Git may have checked the file out with other line ends.
    return None if committed.replace(b"\r\n", b"\n") == text.encode() else f"{path} is not up to date; {again}"
