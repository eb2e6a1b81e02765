"""The command line. A command reads its options, calls a tool, prints the result, and sets the exit code."""


def main() -> None:
    """Run the command `domainstream`."""
    try:
        import click  # noqa: F401, PLC0415 - a publishing service installs no command line
    except ImportError:
        from domainstream.errors import MissingExtraError  # noqa: PLC0415 - keeps `--help` fast

        problem = MissingExtraError("The command line", "cli")
        raise SystemExit(f"{problem}, or 'domainstream[demo]' for the demo") from None
    from domainstream.cli.main import cli  # noqa: PLC0415 - after the check above

    cli(prog_name="domainstream")
