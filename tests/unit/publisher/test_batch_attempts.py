"""What a batch is given up with says most about why no attempt succeeded."""

import pytest
from redis.exceptions import ClusterDownError

from domainstream.errors import NotConfirmedError, ServerUnavailableError
from domainstream.publisher.pending import Batch
from domainstream.publisher.redis_batch_sender import BatchAttempts
from domainstream.redis.confirming import Confirmed
from domainstream.redis.errors import NoReplyError

LATE = NoReplyError(TimeoutError(), sent=True)


@pytest.fixture
def attempts() -> BatchAttempts:
    """A batch that has not been sent yet."""
    return BatchAttempts(Batch("orders"), (), "localhost:6379")


def test_attempt_with_little_time_does_not_hide_why_the_one_before_failed(attempts: BatchAttempts) -> None:
    """What the replicas did not confirm is not confirmed, although the last attempt had no time for its reply."""
    attempts.note(Confirmed([b"1-0"], 0, 1, ""))
    attempts.note(LATE, was_short=True)
    assert attempts.failure
    assert isinstance(attempts.failure.error, NotConfirmedError)


def test_attempt_with_all_its_time_counts(attempts: BatchAttempts) -> None:
    """A server that went silent after another failure is reported as silent."""
    attempts.note(ClusterDownError("CLUSTERDOWN The cluster is down"))
    attempts.note(LATE)
    assert attempts.failure
    assert "was lost before the reply" in str(attempts.failure.error)


def test_first_attempt_with_little_time(attempts: BatchAttempts) -> None:
    """Nothing else is known if the only attempt had no time."""
    attempts.note(LATE, was_short=True)
    assert attempts.failure
    assert type(attempts.failure.error) is ServerUnavailableError
