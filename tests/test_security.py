"""No secret is shown, and nothing from outside is run."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

import worker.runtime.retry
from tests.support.commands import Done, shopkpi

ROOT = Path(__file__).parents[1]
PACKAGES = ("kpi", "worker", "infra", "benchmarks")

# What could run text or bytes from outside.
NOT_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "code", "codeop"}
NOT_CALLED = {"eval", "exec", "compile", "__import__", "execfile"}
NOT_CALLED_IN_OS = {"system", "popen"} | {
    f"{kind}{form}" for kind in ("exec", "spawn") for form in ("l", "le", "lp", "lpe", "v", "ve")
}

SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|PRAGMA|WITH|COPY)\b")
NAMES_OF_OURS = {
    "', '.join(keys)",
    "', '.join(names)",
    "', '.join(columns)",
    "', '.join((name for name in names))",
    "' AND '.join(conditions)",
    "', '.join(columns_of(described))",
    "', '.join(source)",
    "', '.join(target)",
    "SCHEMA_VERSION",
    "as_of",
    "index.name",
    "index.partition_key",
    "index.sort_key",
    "into",
    "key",
    "name",
    "names",
    "of_day",
    "old",
    "order",
    "places",
    "query",
    "definition",
    "rows_table(described)",
    "rows_table(table)",
    "shown",
    "table",
    "table.group_key",
    "table.name",
}
"""What an SQL text may hold: names of `kpi.aggregation.tables`, and places for values."""


def files(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def risks(name: str, tree: ast.Module) -> Iterator[str]:
    """Imports and calls that could run what comes from outside."""
    for node in ast.walk(tree):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        for module in imported:
            if module.partition(".")[0] in NOT_IMPORTED:
                yield f"{name}:{getattr(node, 'lineno', 0)} imports {module}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in NOT_CALLED or called in {f"os.{one}" for one in NOT_CALLED_IN_OS}:
            yield f"{name}:{node.lineno} calls {called}"
        for keyword in node.keywords:
            if keyword.arg == "shell" and ast.unparse(keyword.value) != "False":
                yield f"{name}:{node.lineno} starts a shell"
            if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                yield f"{name}:{node.lineno} unpickles"


def sql_risks(name: str, tree: ast.Module) -> Iterator[str]:
    """Find values that are written into SQL instead of being bound to it."""
    for node in ast.walk(tree):
        for risk in (*interpolated(node), *executed(node), *formatted(node)):
            yield f"{name}:{getattr(node, 'lineno', 0)} {risk}"


def interpolated(node: ast.AST) -> Iterator[str]:
    """Find values in f-strings of SQL, but for names of our tables and columns."""
    if isinstance(node, ast.JoinedStr) and is_sql(node.values[0]):
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = ast.unparse(part.value)
                if value not in NAMES_OF_OURS:
                    yield f"puts {value} into SQL"


def executed(node: ast.AST) -> Iterator[str]:
    """Find scripts, and statements that are put together where they are executed."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "executescript":
            yield "runs a script"
        if node.func.attr in ("execute", "executemany"):
            statement = node.args[0]
            if not isinstance(statement, ast.Constant | ast.Name | ast.JoinedStr):
                yield f"executes {ast.unparse(statement)}"


def formatted(node: ast.AST) -> Iterator[str]:
    """Find SQL that is filled in by `%` or `str.format`."""
    text: ast.AST | None = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        text = node.left
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        text = node.func.value if node.func.attr == "format" else None
    if is_sql(text):
        yield "formats SQL"


def is_sql(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and SQL.match(str(node.value)) is not None


def test_nothing_from_outside_is_run() -> None:
    assert not [risk for one in files(*PACKAGES) for risk in risks(*one)]


def test_values_are_bound_to_sql() -> None:
    assert not [risk for one in files("kpi", "worker") for risk in sql_risks(*one)]


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from marshal import loads",
        "eval(text)",
        "exec(compile(text, '', 'exec'))",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "numpy.load(file, allow_pickle=True)",
        "db.execute(f'SELECT * FROM t WHERE a = {value}')",
        "db.execute('SELECT * FROM t WHERE a = %s' % value)",
        "db.execute('SELECT * FROM t WHERE a = {}'.format(value))",
        "db.execute('DELETE FROM ' + value)",
        "db.executescript(text)",
    ],
)
def test_a_risk_is_found(text: str) -> None:
    tree = ast.parse(text)
    assert [*risks("x", tree), *sql_risks("x", tree)]


# Secrets.

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRETS = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEDMaDEXAMPLEtoken/+w==",
}
PASSWORD, SIGNATURE = "hunter2-of-the-endpoint", "fe5f80f77d5fa3beca038a248ff027d0445342fe"
COMMANDS = [
    ("run", "s3://shop-in", "--workspace", "s3://shop-clean", "--state", "dynamodb://shop"),
    ("validate", "s3://shop-in/orders/1.csv", "--workspace", "work"),
    ("query", "orders", "--state", "dynamodb://shop"),
    ("tables", "create", "--state", "dynamodb://shop"),
    ("transform", "--workspace", "s3://shop-clean", "--state", "dynamodb://shop"),
]


class Refusing(BaseHTTPRequestHandler):
    """An S3 and a DynamoDB that quote the signed text, as AWS does for a wrong one."""

    seen: ClassVar[list[str]] = []

    def answer(self) -> None:
        token = self.headers.get("X-Amz-Security-Token", "")
        self.seen.append(self.headers.get("Authorization", ""))
        quoted = (
            f"The Canonical String for this request should have been 'POST / "
            f"x-amz-security-token:{token}' with {self.headers.get('Authorization')}"
        )
        if self.headers.get("X-Amz-Target"):
            kind = "com.amazon.coral.service#InvalidSignatureException"
            status, body = 400, json.dumps({"__type": kind, "message": quoted})
        else:
            status, body = (
                403,
                (
                    f"<Error><Code>SignatureDoesNotMatch</Code><Message>{quoted}</Message>"
                    f"<AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>"
                ),
            )
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


for method in ("GET", "HEAD", "POST", "PUT"):
    setattr(Refusing, f"do_{method}", Refusing.answer)


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Print nothing: output of the server would count as output of the command."""


@contextmanager
def refusing() -> Iterator[str]:
    """The URL of `Refusing`, with a password and a signature in it."""
    with QuietServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials in the environment, no other configuration, and no second attempts."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

    async def never(_: object) -> bool:
        await asyncio.sleep(0)
        return False

    monkeypatch.setattr(worker.runtime.retry.Retries, "again", never)


def keeps_its_secrets(done: Done) -> None:
    for secret in (*SECRETS.values(), PASSWORD, SIGNATURE):
        assert secret not in done.out + done.err


@pytest.mark.slow
@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_errors_of_aws_show_no_secret(
    tmp_path: Path, command: tuple[str, ...], debug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"SHOPKPI_DEBUG": "1"} if debug else {}
    Refusing.seen.clear()
    with refusing() as address:
        for endpoint in (
            f"http://{address}",
            f"http://127.0.0.1:1/?X-Amz-Signature={SIGNATURE}",
            f"http://me:{PASSWORD}@127.0.0.1:1",
        ):
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            done = shopkpi(tmp_path, *command, **environment)
            assert done.code in (1, 2), done
            assert done.err
            keeps_its_secrets(done)
    assert any(KEY_ID in header for header in Refusing.seen)  # they were in use


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(
    "arguments",
    [
        (
            "run",
            f"https://b.s3.amazonaws.com/k?X-Amz-Credential={KEY_ID}&X-Amz-Signature={SIGNATURE}",
        ),
        ("run", "shop", "--state", f"postgres://me:{PASSWORD}@host/db"),
        ("run", "shop", "--workspace", f"ftp://me:{PASSWORD}@host/"),
        ("run", "shop", "--contract", f"https://me:{PASSWORD}@host/c.toml?sig={SIGNATURE}"),
        ("query", "orders", "--state", f"dynamodb://me:{PASSWORD}@host:x/y"),
        ("query", f"https://x/?Signature={SIGNATURE}"),
        ("ledger", f"https://x/?Signature={SIGNATURE}", "--state", f"x://me:{PASSWORD}@x"),
        ("plan", f"https://me:{PASSWORD}@x/"),
        ("tables", "create", "--state", f"mysql://me:{PASSWORD}@x/y"),
    ],
)
def test_wrong_settings_show_no_secret(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = shopkpi(tmp_path, *arguments)
    assert done.code == 2
    assert "***" in done.err
    keeps_its_secrets(done)
