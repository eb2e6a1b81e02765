"""`domainstream groups`: shows the progress of consumer groups, and removes those that no subscriber uses any more."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.groups"
COMMANDS: Final = {
    "ls": LazyCommand(f"{_HERE}.ls:ls", "Show the progress of each consumer group."),
    "rm": LazyCommand(f"{_HERE}.rm:rm", "Remove a group that no subscriber uses any more."),
}


class Groups(LazyGroup):
    """`domainstream groups [CHANNEL]` is short for `domainstream groups ls [CHANNEL]`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `ls` in front of anything but a command or `--help`."""
        return super().parse_args(ctx, args if ctx.resilient_parsing else self._completed(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the command, `ls` by default."""
        return super().resolve_command(ctx, self._completed(args))

    def _completed(self, args: list[str]) -> list[str]:
        return args if args and args[0] in {*self.lazy, "-h", "--help"} else ["ls", *args]


@click.group(cls=Groups, lazy=COMMANDS)
def groups() -> None:
    """Show the progress of consumer groups, and remove dead ones.

    Without a command, `ls` is run.
    """
