"""Generated documents, read by AsyncAPI's own parser and the TypeScript compiler."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from unit.tools.docgen.monorepo_system import registry
from unit.tools.docgen.test_documents import sample

from domainstream.tools.docgen.asyncapi import SPECIFICATIONS, asyncapi_document
from domainstream.tools.docgen.system import documented_channels
from domainstream.tools.docgen.typescript import typescript_of

HERE = Path(__file__).parent
SYSTEMS = {"monorepo": registry, "sample": sample()}


@pytest.fixture(autouse=True, scope="module")
def packages_are_there() -> None:
    """Skip where the npm packages are not installed."""
    if not (HERE / "node_modules").is_dir():
        pytest.skip(f"the npm packages are not installed; run: npm ci --prefix {HERE}")


def node(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a program of Node.js in this folder."""
    return subprocess.run(["node", *map(str, arguments)], cwd=HERE, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What AsyncAPI's parser says of the document of each system in each version; one process, as its start is slow."""
    folder = tmp_path_factory.mktemp("documents")
    places = {(name, spec): folder / f"{name}-{spec}.json" for name in SYSTEMS for spec in SPECIFICATIONS}
    for (name, spec), path in places.items():
        written = asyncapi_document(documented_channels(SYSTEMS[name]), spec=spec, title="Test", release="1.0.0")
        path.write_text(json.dumps(written), encoding="utf-8")
    done = node("validate.mjs", *places.values())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return dict(zip(places, done.stdout.splitlines(), strict=True))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the strict compiler says of the modules of all systems and of a service that uses one; one process."""
    folder = tmp_path_factory.mktemp("modules")
    for name, system in SYSTEMS.items():
        (folder / name).mkdir()
        (folder / name / "events.ts").write_text(typescript_of(documented_channels(system)), encoding="utf-8")
    (folder / "service").mkdir()
    shutil.copy(folder / "monorepo" / "events.ts", folder / "service")
    shutil.copy(HERE / "usage.ts", folder / "service")
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"]
    compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"
    done = node(compiler, *options, "--erasableSyntaxOnly", *sorted(folder.glob("*/*.ts")))
    assert (done.returncode == 0) == (done.stdout == ""), done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("spec", SPECIFICATIONS)
def test_asyncapi_is_valid(parsed: dict[tuple[str, str], str], name: str, spec: str) -> None:
    """AsyncAPI's own parser finds no error, and reads the requested version."""
    assert parsed[name, spec].split()[:2] == [spec, str(len(SYSTEMS[name].channels))]


def test_invalid_document_is_rejected(tmp_path: Path) -> None:
    """The parser that accepts our documents rejects one with an operation on a missing channel."""
    path = tmp_path / "asyncapi.json"
    written = asyncapi_document(documented_channels(registry), spec="3.0.0", title="Test", release="1.0.0")
    written["channels"].popitem()
    path.write_text(json.dumps(written), encoding="utf-8")
    assert node("validate.mjs", path).returncode == 1


@pytest.mark.parametrize("name", SYSTEMS)
def test_typescript_compiles(compiled: list[str], name: str) -> None:
    """The strict compiler accepts the module, even if docstrings contain `*/`."""
    assert [line for line in compiled if f"/{name}/events.ts" in line] == []


def test_usage_compiles_and_mistakes_do_not(compiled: list[str]) -> None:
    """A service reads payloads with their types, and the compiler rejects each mistake marked in `usage.ts`."""
    assert compiled == []
