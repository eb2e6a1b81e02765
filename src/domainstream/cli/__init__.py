"""The command line. A command reads its options, calls a tool, prints the result, and sets the exit code."""


def main() -> None:
    """Run the command `domainstream`."""
    try:
        import click  # noqa: F401 - a publishing service installs no command line
    except ImportError:
        from domainstream.errors import MissingExtraError

        problem = MissingExtraError("The command line", "cli")
        raise SystemExit(f"{problem}, or 'domainstream[demo]' for the demo") from None
    from domainstream.cli.main import cli

    cli(prog_name="domainstream")
