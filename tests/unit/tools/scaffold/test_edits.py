"""Edits in place, which keep all other code, including comments and order."""

from collections.abc import Callable
from textwrap import dedent

import pytest

from domainstream.tools.scaffold.edits.contracts import (
    services_of,
    with_aggregate,
    with_channel,
    with_member,
    with_service,
    with_subscription,
)
from domainstream.tools.scaffold.edits.imports import with_import, without_import
from domainstream.tools.scaffold.edits.services import consumers, with_case, with_class, with_handler
from domainstream.tools.scaffold.edits.toml_lists import with_toml_item, with_toml_line
from domainstream.tools.scaffold.errors import CannotEditError
from domainstream.tools.scaffold.source import Source

Edit = Callable[[Source], Source]


def edited(text: str, edit: Edit, width: int = 60) -> str:
    """Return a text after an edit, which must be idempotent."""
    source = edit(Source("file.py", dedent(text), width))
    assert edit(source).text == source.text
    return source.text


CHANNELS = """\
    from domainstream import EventPublisherChannel

    SERVICES = {
        "coding": ("stay",),  # the oldest
        # "billing" is to come
    }


    class Channel(EventPublisherChannel, services=SERVICES):
        '''All.'''

        # of coding
        DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"  # often
        # Add your new channel here
"""


def test_channel_is_added_after_the_last() -> None:
    """A new channel leaves the comments around other members where they are."""

    def edit(source: Source) -> Source:
        return with_member(source, next(iter(source.classes())), "DOMAIN_A_B_DONE", "domain_a_b_done")

    lines = edited(CHANNELS, edit).splitlines()
    assert lines[-2:] == ['    DOMAIN_A_B_DONE = "domain_a_b_done"', "    # Add your new channel here"]
    assert [line for line in lines if "DOMAIN_A" not in line] == dedent(CHANNELS).splitlines()


def test_service_and_aggregate_are_added() -> None:
    """A new service and a new aggregate keep the comments of the table."""
    text = edited(CHANNELS, lambda source: with_aggregate(with_service(source, "billing"), "coding", "review"))
    assert '    "coding": ("stay", "review"),  # the oldest\n    # "billing" is to come\n    "billing": (),\n}' in text


def test_services_may_be_inline_or_missing() -> None:
    """A dict in the class statement is edited there; an enum without services stays without."""
    inline = "class Channel(EventPublisherChannel, services={'coding': ()}):\n    pass\n"
    assert "{'coding': (\"stay\",)}" in edited(
        inline, lambda source: with_aggregate(source, "coding", "stay"), width=99
    )
    without = Source("file.py", "class Channel(EventPublisherChannel):\n    pass\n", 99)
    assert services_of(without) is None
    assert with_aggregate(without, "coding", "stay") is without


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("X: TypeAlias = A\n", "X: TypeAlias = A | New\n"),
        ("X = A | B\n", "X = A | B | New\n"),
        ("type X = A\n", "type X = A | New\n"),
        ("X: TypeAlias = Never\n", "X: TypeAlias = New\n"),
        ("X: TypeAlias = (\n    A\n    | B  # why\n)\n", "X: TypeAlias = (\n    A\n    | B  # why\n    | New\n)\n"),
        (f"type X = {'A' * 30} | {'B' * 17}\n", f"type X = (\n    {'A' * 30} | {'B' * 17} | New\n)\n"),
        (
            f"X = (\n    {'A' * 26} | {'B' * 25}\n)\n",
            f"X = (\n    {'A' * 26}\n    | {'B' * 25}\n    | New\n)\n",
        ),
    ],
)
def test_unions_grow(before: str, after: str) -> None:
    """Each way to write a union is kept, and its lines are broken as the formatters do."""
    assert edited(before, lambda source: with_class(source, "X", "New")) == after


@pytest.mark.parametrize("text", ["Y = A\n", "X = Optional[A]\n", "X = some(A)\n"])
def test_other_unions_are_refused(text: str) -> None:
    """The error for an unknown form of union says what to do by hand."""
    with pytest.raises(CannotEditError, match=r"file\.py(:1)?: .*by hand.*add New to X"):
        with_class(Source("file.py", text, 99), "X", "New")


MAPPER = """\
    def channel_for(event: Event) -> Channel:
        match event:
            case A():
                return Channel.A
            # the rest
            case _:
                assert_never(event)
"""


def test_case_is_added_before_the_wildcard() -> None:
    """A new case goes before the wildcard; one that returns None widens the return type."""
    text = edited(MAPPER, lambda source: with_case(source, "channel_for", "B", "B_HAPPENED", "None"))
    assert text.startswith("def channel_for(event: Event) -> Channel | None:\n")
    case = "        case B():\n            return None  # stays inside the service\n"
    assert f"            return Channel.A\n        # the rest\n{case}        case _:\n" in text


def test_imports_are_sorted_in() -> None:
    """Names join the import of their module, and new imports are sorted into the paragraph they belong to."""
    text = """\
        '''Doc.'''

        import os
        from typing import final

        from domainstream import BaseEvent

        from coding.stays import Stay  # why
        from valuation.prices import (
            # the oldest
            Price,
            zero,
        )
    """
    wanted = (
        "typing:Any",
        "coding.stays:LIMIT",
        "coding.runs:Run",
        "valuation.prices:Tax",
        "msgspec:Meta",
        "datetime as dt",
    )

    def edit(source: Source) -> Source:
        for name in wanted:
            source = with_import(source, name, {"coding", "valuation"})
        return source

    assert edited(text, edit) == dedent("""\
        '''Doc.'''

        import datetime as dt
        import os
        from typing import Any, final

        from domainstream import BaseEvent
        from msgspec import Meta

        from coding.runs import Run
        from coding.stays import LIMIT, Stay  # why
        from valuation.prices import (
            # the oldest
            Price,
            Tax,
            zero,
        )
    """)


def test_import_is_removed() -> None:
    """Removing the last name of an import removes its line."""
    source = Source("file.py", "from typing import Never, TypeAlias\n", 99)
    assert without_import(source, "typing", "Never").text == "from typing import TypeAlias\n"
    assert (
        without_import(Source("file.py", "from typing import Never\nx = 1\n", 99), "typing", "Never").text == "x = 1\n"
    )


SUBSCRIPTIONS = """\
    subscriptions = create_multiple_handlers(
        {
            Channel.A: [to_queue("a", job="a")],  # the first
            Channel.B: [],
            # more to come
        }
    )
"""


def test_channel_and_queue_are_subscribed() -> None:
    """A new channel and a new handler leave the other subscriptions as they are."""

    def edit(source: Source) -> Source:
        return with_subscription(with_channel(source, "Channel.C"), "Channel.A", "Queues.B", "Jobs.B")

    assert edited(SUBSCRIPTIONS, edit) == dedent("""\
        subscriptions = create_multiple_handlers(
            {
                Channel.A: [
                    to_queue("a", job="a"),
                    to_queue(Queues.B, job=Jobs.B),
                ],  # the first
                Channel.B: [],
                # more to come
                Channel.C: [],
            }
        )
    """)


CONSUMERS = """\
    log = getLogger(__name__)


    def coding_consumer() -> EventConsumer:
        consumer = EventConsumer(Queues.CODING)

        @consumer.on(A)
        async def a(event: A, context: EventContext) -> None: ...

        return consumer  # that is all
"""


def test_handler_is_added_to_a_factory_and_to_a_module() -> None:
    """A handler is added before the factory's return, or at the end of the file."""

    def edit(source: Source) -> Source:
        if "(B" in source.text:
            return source
        names = {"function": "b", "event_class": "B", "context": "EventContext", "job": "Jobs.B"}
        return with_handler(source, next(consumers(source)), **names)

    text = edited(CONSUMERS, edit, width=99)
    assert "    @consumer.on(B, job=Jobs.B)\n    async def b(event: B, context: EventContext) -> None:\n" in text
    assert text.endswith("context.correlation_id)\n\n    return consumer  # that is all\n")
    plain = edited("consumer = EventConsumer('x')\n", edit, width=99)
    assert plain.startswith("consumer = EventConsumer('x')\n\n\n@consumer.on(B, job=Jobs.B)\nasync def b(")


TOML = """\
[project]
dependencies = ["contracts", "domainstream[bullmq]"] # ]

[tool.mypy]
mypy_path = [
    "a", # [the first]
]

[tool.uv.sources]
contracts = { workspace = true }
"""


def test_lists_of_toml_grow() -> None:
    """A list of TOML gets an item, even if strings and comments contain brackets."""
    text = with_toml_item("x.toml", TOML, "dependencies", "coding", table=("project",))
    text = with_toml_item("x.toml", text, "mypy_path", "b", table=("tool", "mypy"))
    text = with_toml_line("x.toml", text, "coding = { workspace = true }", table=("tool", "uv", "sources"))
    assert 'dependencies = ["contracts", "domainstream[bullmq]", "coding"] # ]\n' in text
    assert '    "a", # [the first]\n    "b",\n]\n' in text
    assert text.endswith("contracts = { workspace = true }\ncoding = { workspace = true }\n")
    assert with_toml_item("x.toml", text, "mypy_path", "b", table=("tool", "mypy")) == text


def test_toml_without_the_list_is_refused() -> None:
    """The error for a missing TOML list says what to add where."""
    with pytest.raises(CannotEditError, match=r'add "coding" to dependencies of \[project\]'):
        with_toml_item("x.toml", "[project]\nname = 'x'\n", "dependencies", "coding", table=("project",))


def test_windows_line_ends_stay() -> None:
    """New lines get the line ends of the file; characters beyond ASCII do not shift an edit."""
    text = "'''é'''\r\nX = A | B\r\n"
    assert (
        with_class(Source("file.py", text, 12), "X", "Long").text
        == "'''é'''\r\nX = (\r\n    A\r\n    | B\r\n    | Long\r\n)\r\n"
    )


def test_invalid_python_is_refused() -> None:
    """The error for invalid Python names the line."""
    with pytest.raises(CannotEditError, match=r"file\.py:2: this is not Python 3"):
        with_class(Source("file.py", "x = 1\ndef (:\n", 99), "X", "New")


def test_handler_is_added_above_the_main_block() -> None:
    """A handler is added above the block that runs its file, because below it would not be registered in time."""

    def edit(source: Source) -> Source:
        if "(B" in source.text:
            return source
        names = {"function": "b", "event_class": "B", "context": "Context", "job": "Jobs.B"}
        return with_handler(source, next(consumers(source)), **names)

    text = edited("consumer: EventConsumer = EventConsumer('x')\n\nif __name__ == '__main__':\n    run()", edit)
    assert text.index("async def b(event: B, context: Context)") < text.index("if __name__")
    assert text.endswith("\n\n\nif __name__ == '__main__':\n    run()")


@pytest.mark.parametrize(
    "text",
    [
        "from typing import Never\n\ndef f() -> Never: ...\n",
        "from typing import Never; x = 1\n",
        "from typing import (\n    Never,  # none\n    TypeAlias,\n)\n",
    ],
)
def test_import_that_is_needed_stays(text: str) -> None:
    """An import stays if its name is used, or if its lines have something else."""
    assert without_import(Source("file.py", text, 99), "typing", "Never").text == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a]\nx = 1", "[a]\nx = 1\ny = 2\n"),
        ("[a]\r\nx = 1\r\n\r\n[b]\r\n", "[a]\r\nx = 1\r\ny = 2\r\n\r\n[b]\r\n"),
        ("[a]  # the first\nx = 1\n[b]\n", "[a]  # the first\nx = 1\ny = 2\n[b]\n"),
    ],
)
def test_tables_of_toml_grow(before: str, after: str) -> None:
    """A table of TOML gets a line at its end, with the line ends of the file."""
    assert with_toml_line("x.toml", before, "y = 2", table=("a",)) == after


@pytest.mark.parametrize("text", ["a = {x = 1}\n", "a.x = 1\n", "[a]\nx = [\n\n1]\n"])
def test_tables_of_toml_in_other_forms_are_refused(text: str) -> None:
    """The error for a TOML table in an unknown form says which line to add where."""
    with pytest.raises(CannotEditError, match=r"x\.toml: \[a\] has an unknown form.*by hand.*add y = 2 to \[a\]"):
        with_toml_line("x.toml", text, "y = 2", table=("a",))


@pytest.mark.parametrize("last", ["1", "1,", "1  # why", "1,  # why"])
def test_lists_of_toml_keep_their_line_ends(last: str) -> None:
    """A list of TOML with the line ends of Windows gets an item with the same, and keeps its comments."""
    comma = "" if "," in last else ","
    text = with_toml_item("x.toml", f"[a]\r\nx = [\r\n    {last}\r\n]\r\n", "x", "b", table=("a",))
    assert text == f'[a]\r\nx = [\r\n    {last.replace("1", "1" + comma)}\r\n    "b",\r\n]\r\n'
