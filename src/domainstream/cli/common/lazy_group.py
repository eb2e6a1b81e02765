"""A click group that imports a command only when it is called, so that `--help` is fast and needs no extra."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from domainstream.tools.common.formatting import did_you_mean


class LazyCommand(NamedTuple):
    """Where a command is defined, and its line in the group's help."""

    target: str
    """`module:name` of the click command."""

    summary: str
    """The first sentence of the command's own help, which a test compares with it."""


class LazyGroup(click.Group):
    """A group of `LazyCommand`s, listed in their order."""

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.lazy = lazy
        """The commands by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None for an unknown name. Fail with what to install for a missing extra."""
        known = self.lazy.get(cmd_name)
        if known is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = known.target.partition(":")
        try:
            command: click.Command = getattr(import_module(module), name)
        except ImportError as error:
            from domainstream.errors import MissingExtraError

            if isinstance(error, MissingExtraError):
                raise click.ClickException(str(error)) from None
            raise
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the command named by `args`, or suggest a similar one; click only suggests those that it created."""
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}.{did_you_mean(name, known)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, known.summary) for name, known in self.lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any; anything else as click does."""
        names = [name for name in self.lazy if name.startswith(incomplete)]
        if not names:
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=self.lazy[name].summary) for name in names]
