"""One table says what a server's errors mean, for publisher and subscriber alike."""

from typing import Any

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from domainstream.errors import (
    ServerError,
    ServerIsClusterError,
    ServerOutOfMemoryError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.publisher.redis_batch_sender import classify
from domainstream.redis.connection import connect
from domainstream.redis.errors import (
    TRANSIENT_CODES,
    ErrorKind,
    NoReplyError,
    code_of,
    kind_of,
    server_error,
    translated_errors,
)

TRANSIENT = {
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "UNBLOCKED": "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
}
FINAL = {
    "WRONGTYPE": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "NOPERM": "NOPERM this user has no permissions to run the 'xadd' command",
    "NOAUTH": "NOAUTH Authentication required.",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "ERR": "ERR unknown command 'XADD'",
}


def reply(text: str) -> RedisError:
    """Return an error of the server as redis-py parses it."""
    parse: Any = BaseParser.parse_error
    error: RedisError = parse(text)
    return error


def test_every_transient_code_is_tried() -> None:
    """The cases below are those of the table."""
    assert set(TRANSIENT) == TRANSIENT_CODES


@pytest.mark.parametrize("code", TRANSIENT)
def test_transient_error_is_repeated_by_the_publisher(code: str) -> None:
    """A publisher repeats the batch, knowing that nothing of it was applied."""
    failure = classify(reply(TRANSIENT[code]), "here:1")
    assert failure.repeatable
    assert not failure.maybe_applied
    assert isinstance(failure.error, ServerUnavailableError)


@pytest.mark.parametrize("code", TRANSIENT)
def test_transient_error_is_waited_out_by_the_subscriber(code: str) -> None:
    """Reader and forwarder get the error that they wait out, which names the server and the code."""
    with pytest.raises(ServerUnavailableError, match=f"the server at localhost:6379 is not ready: {code} ") as raised:
        fail_with(reply(TRANSIENT[code]))
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", FINAL.values(), ids=FINAL)
def test_final_error_is_repeated_by_neither(text: str) -> None:
    """What would fail in the same way is rejected for the publisher, and set apart by the subscriber."""
    failure = classify(reply(text), "here:1")
    assert not failure.repeatable
    assert not failure.maybe_applied
    assert isinstance(failure.error, ServerRefusedError)
    with pytest.raises(ServerRefusedError):
        fail_with(reply(text))


@pytest.mark.parametrize("text", ["MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381"])
def test_moved_key_says_that_the_server_is_a_cluster(text: str) -> None:
    """A node of a cluster is not followed yet; both sides say so."""
    assert kind_of(reply(text)) is ErrorKind.MOVED
    assert isinstance(classify(reply(text), "here:1").error, ServerIsClusterError)
    with pytest.raises(ServerIsClusterError):
        fail_with(reply(text))


def test_full_memory_has_an_error_of_its_own() -> None:
    """A publisher does not repeat the batch; a subscriber, which knows the class, waits until queues are drained."""
    full = reply("OOM command not allowed when used memory > 'maxmemory'.")
    failure = classify(full, "here:1")
    assert not failure.repeatable
    assert isinstance(failure.error, ServerOutOfMemoryError)
    with pytest.raises(ServerOutOfMemoryError, match="CONFIG SET maxmemory"):
        fail_with(full)


@pytest.mark.parametrize("sent", [True, False])
def test_missing_reply_may_have_been_applied_only_if_the_command_was_sent(sent: bool) -> None:
    """A batch without a reply is repeated; only one that was sent can be of unknown outcome."""
    failure = classify(NoReplyError(RedisConnectionError("gone"), sent=sent), "here:1")
    assert failure.repeatable
    assert failure.maybe_applied is sent


@pytest.mark.parametrize("text", [FINAL["WRONGPASS"], FINAL["NOAUTH"]])
def test_rejected_handshake_is_final(text: str) -> None:
    """A wrong password is not a lost connection: it is reported at once."""
    handshake = NoReplyError(reply(text), sent=False)
    assert kind_of(handshake) is ErrorKind.FINAL
    assert isinstance(server_error(handshake, "here:1"), ServerRefusedError)


def test_loading_server_rejects_the_handshake_for_a_while_only() -> None:
    """A server that is loading says so to the handshake too, and is asked again."""
    handshake = NoReplyError(reply(TRANSIENT["LOADING"]), sent=False)
    assert kind_of(handshake) is ErrorKind.TRANSIENT
    assert "is not ready: LOADING" in str(server_error(handshake, "here:1"))


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), TimeoutError(), OSError("no route")])
def test_error_of_the_connection_has_no_code(error: Exception) -> None:
    """What is not a reply of the server is transient and has no code."""
    assert code_of(error) == ""
    assert kind_of(error) is ErrorKind.TRANSIENT


def fail_with(error: Exception) -> None:
    """Raise an error where a stage's client is used."""
    with translated_errors(connect("redis://localhost")):
        raise error


def test_errors_are_of_our_own_tree() -> None:
    """Whatever fails, users catch `ServerError`."""
    for text in [*TRANSIENT.values(), *FINAL.values()]:
        assert isinstance(server_error(reply(text), "here:1"), ServerError)


@pytest.mark.parametrize(
    "reason",
    [
        "Error -2 connecting to example.org:6379. Name or service not known",
        "Error 1 connecting to example.org:6379. [SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate",
        "Error 111 connecting to example.org:6379. Connection refused",
    ],
)
def test_missing_connection_says_why(reason: str) -> None:
    """What DNS, TLS or the network says stays in the error: each has another remedy."""
    error = server_error(NoReplyError(RedisConnectionError(f"{reason}."), sent=False), "example.org:6379")
    assert f"ConnectionError: {reason}; is it running" in str(error)
