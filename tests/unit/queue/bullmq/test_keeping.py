"""What the options of a job say about how long its queue keeps it."""

import pytest

from domainstream.queue.bullmq.keeping import Keeping, kept


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (True, Keeping(count=0)),
        (False, Keeping()),
        (100, Keeping(count=100)),
        (-1, Keeping()),
        ({"age": 3600, "count": 10_000}, Keeping(age_s=3600, count=10_000)),
        ({"age": 60.5}, Keeping(age_s=60)),
        ({"age": "soon", "count": True}, Keeping()),
        (None, None),
        ("forever", None),
    ],
)
def test_option_means_what_it_means_to_bullmq(said: object, meant: Keeping | None) -> None:
    """True keeps nothing, false everything, a number that many; without the option the worker decides."""
    assert kept(said) == meant
