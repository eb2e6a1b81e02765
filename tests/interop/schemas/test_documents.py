"""Generated documents, read by AsyncAPI's own parser and the TypeScript compiler."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from unit.tools.docgen.monorepo_system import registry
from unit.tools.docgen.test_documents import sample

from domainstream import ChannelRegistry
from domainstream.tools.docgen.asyncapi import SPECIFICATIONS, asyncapi_document
from domainstream.tools.docgen.system import documented_channels
from domainstream.tools.docgen.typescript import typescript_of

HERE = Path(__file__).parent
REGISTRIES = pytest.mark.parametrize("system", [registry, sample()], ids=["monorepo", "sample"])


@pytest.fixture(autouse=True, scope="module")
def packages_are_there() -> None:
    """Skip where the npm packages are not installed."""
    if not (HERE / "node_modules").is_dir():
        pytest.skip(f"the npm packages are not installed; run: npm ci --prefix {HERE}")


def node(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a program of Node.js in this folder."""
    return subprocess.run(["node", *map(str, arguments)], cwd=HERE, capture_output=True, text=True, check=False)


def compile_types(folder: Path, *files: str) -> "subprocess.CompletedProcess[str]":
    """Compile files of a folder with strict settings."""
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"]
    compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"
    return node(compiler, *options, "--erasableSyntaxOnly", *(folder / name for name in files))


@REGISTRIES
@pytest.mark.parametrize("spec", SPECIFICATIONS)
def test_asyncapi_is_valid(system: ChannelRegistry, spec: str, tmp_path: Path) -> None:
    """AsyncAPI's own parser finds no error, and reads the requested version."""
    path = tmp_path / "asyncapi.json"
    written = asyncapi_document(documented_channels(system), spec=spec, title="Test", release="1.0.0")
    path.write_text(json.dumps(written), encoding="utf-8")
    done = node("validate.mjs", path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.split()[:2] == [spec, str(len(system.channels))]


def test_invalid_document_is_rejected(tmp_path: Path) -> None:
    """The parser that accepts our documents rejects one with an operation on a missing channel."""
    path = tmp_path / "asyncapi.json"
    written = asyncapi_document(documented_channels(registry), spec="3.0.0", title="Test", release="1.0.0")
    written["channels"].popitem()
    path.write_text(json.dumps(written), encoding="utf-8")
    assert node("validate.mjs", path).returncode == 1


@REGISTRIES
def test_typescript_compiles(system: ChannelRegistry, tmp_path: Path) -> None:
    """The strict compiler accepts the module, even if docstrings contain `*/`."""
    (tmp_path / "events.ts").write_text(typescript_of(documented_channels(system)), encoding="utf-8")
    done = compile_types(tmp_path, "events.ts")
    assert done.returncode == 0
    assert done.stdout == ""


def test_usage_compiles_and_mistakes_do_not(tmp_path: Path) -> None:
    """A service reads payloads with their types, and the compiler rejects each mistake marked in `usage.ts`."""
    (tmp_path / "events.ts").write_text(typescript_of(documented_channels(registry)), encoding="utf-8")
    shutil.copy(HERE / "usage.ts", tmp_path)
    done = compile_types(tmp_path, "events.ts", "usage.ts")
    assert done.returncode == 0
    assert done.stdout == ""
