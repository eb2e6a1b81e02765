"""Servers that listen with TLS, and a certificate for them that lives as long as a test run."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

from domainstream.redis.topology import Address
from domainstream.testing import ServerBinary
from domainstream.testing.embedded_server import HOST
from domainstream.testing.server_lab import LabNode, free_port

OPENSSL: Final = shutil.which("openssl")


class Certificate(NamedTuple):
    """A certificate of 127.0.0.1 that vouches for itself."""

    path: Path
    """The certificate."""

    key: Path
    """Its private key."""

    @classmethod
    def make(cls, folder: Path) -> "Certificate":
        """Make one in a folder."""
        made = cls(folder / "server.crt", folder / "server.key")
        subject = ["-subj", "/CN=domainstream test", "-addext", f"subjectAltName=IP:{HOST}"]
        new = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(made.key), "-out", str(made.path)]
        subprocess.run([str(OPENSSL), "req", "-x509", *new, *subject], check=True, capture_output=True)
        return made


def has_tls(binary: ServerBinary) -> bool:
    """Return whether a server program was built with TLS."""
    words = [str(binary.path), "--port", "0", "--tls-port", "1"]  # without a certificate none of them starts
    tried = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    return "No tls-cert-file configured" in tried.stdout + tried.stderr


class TlsNode(LabNode):
    """A node whose address is for TLS; the lab talks to it without."""

    def __init__(self, *arguments: Any, certificate: Certificate, **more: Any) -> None:
        port, folder, binary, options = arguments
        tls_port = free_port(bus=True)
        tls = (
            *("--tls-port", str(tls_port), "--tls-cert-file", str(certificate.path)),
            *("--tls-key-file", str(certificate.key), "--tls-ca-cert-file", str(certificate.path)),
            *("--tls-auth-clients", "no", "--tls-replication", "yes"),
            *(("--tls-cluster", "yes") if "--cluster-enabled" in options else ()),
        )
        super().__init__(port, folder, binary, (*options, *tls), **more)
        self.address = Address(HOST, tls_port)
