"""Replace the Docker SDK inside MiniStack: containers are processes of this machine.

MiniStack starts ECS tasks through `docker.from_env()`. Where there is no Docker daemon, this module
on its path runs the container's command with the entry point in `STANDIN_ENTRYPOINT` (JSON) and
with the environment that ECS gives it. It has only the calls that MiniStack makes. With an image in
`STANDIN_IMAGE`, Podman runs that image as Fargate would: as a user other than root, read-only but
for /tmp, without capabilities. Only the network is that of this machine.

It also changes three things in MiniStack's Step Functions to what AWS documents:

- `ecs:runTask.sync` fails its state with States.TaskFailed when a container exits with a code other
  than 0; the cause is the task, its fields in upper camel case (Step Functions developer guide,
  "Run Amazon ECS or Fargate tasks").
- A nested `states:startExecution` whose name is taken fails its state with
  StepFunctions.ExecutionAlreadyExistsException; MiniStack leaves out the service and the suffix.
- `aws-sdk:s3:getObject` returns the object's text as `Body`; MiniStack has no such call.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker import errors

__all__ = ["errors", "from_env"]

# Flags that Podman needs where there is no systemd and crun does not run.
PODMAN = ("podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc")
CONFINED = (
    *("run", "--rm", "--network", "host", "--read-only", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
)


MAX_WAIT_MIN = 10
"""Longest wait for one container."""


class Container:
    """One process."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.id = uuid.uuid4().hex
        self.name = name
        self.attrs: dict[str, Any] = {"NetworkSettings": {"Networks": {}}}
        self.killed_at = b""
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def status(self) -> str:
        return "running" if self._process.poll() is None else "exited"

    @property
    def labels(self) -> dict[str, str]:
        return {}

    def reload(self) -> None:
        """Nothing is cached here."""

    def wait(self) -> dict[str, int]:
        code = self._process.wait()
        # A process that a signal ended: Docker reports 128 + the signal.
        return {"StatusCode": code if code >= 0 else 128 - code}

    def logs(self, **_: object) -> Iterator[bytes]:
        """Yield its output line by line until it ends."""
        assert self._process.stdout is not None
        for line in iter(self._process.stdout.readline, b""):
            yield line
            if self.killed_at and self.killed_at in line:
                self._kill()

    def kill_in(self, seconds: float) -> None:
        """Kill it after a while, as a lost machine would."""
        time.sleep(seconds)
        if self._process.poll() is None:
            self._kill()

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self, timeout: float = 10) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def remove(self, **_: object) -> None:
        self.stop()


class PodmanContainer(Container):
    """Container of the real image; the process is Podman's, which ends with its exit code."""

    def __init__(
        self, image: str, name: str, command: list[str], environment: dict[str, str]
    ) -> None:
        names = [f"--env={each}" for each in environment]
        super().__init__(
            name,
            [*PODMAN, *CONFINED, "--name", name, *names, image, *command],
            {**os.environ, **environment},
        )

    def _kill(self) -> None:
        # It may not have started yet.
        while self._process.poll() is None and self._podman("kill", "--signal", "KILL"):
            time.sleep(0.05)

    def stop(self, timeout: float = 10) -> None:
        if self._process.poll() is None:
            self._podman("stop", "--time", str(int(timeout)))

    def _podman(self, *words: str) -> int:
        done = subprocess.run([*PODMAN, *words, self.name], check=False, capture_output=True)
        return done.returncode


class Containers:
    """The containers of this process."""

    def __init__(self) -> None:
        self._all: dict[str, Container] = {}
        self._home = Path(os.environ["STANDIN_HOME"])

    def run(
        self, image: str, *, command: list[str], environment: dict[str, str], name: str, **_: object
    ) -> Container:
        container: Container
        if real := os.environ.get("STANDIN_IMAGE"):
            container = PodmanContainer(real, name, command, _given(environment))
        else:
            entry_point = json.loads(os.environ["STANDIN_ENTRYPOINT"])
            # `exit-<command>` holds the code that the next container of that command exits with.
            if code := self._take_order(f"exit-{command[0]}"):
                entry_point = ["sh", "-c", f"exit {int(code)}"]
            container = Container(name, [*entry_point, *command], _environment(environment))
        self._all[container.id] = container
        with (self._home / "runs.jsonl").open("a") as runs:
            deployment = environment["SHOPKPI_STATE"].removeprefix("dynamodb://")
            run = {"deployment": deployment, "image": image, "command": command}
            runs.write(json.dumps(run) + "\n")
        # `kill-<command>` holds seconds, or the name of an event that it logs: the next container
        # of that command is killed then.
        if when := self._take_order(f"kill-{command[0]}"):
            if when.replace(".", "").isdigit():
                kill = threading.Thread(target=container.kill_in, args=(float(when),), daemon=True)
                kill.start()
            else:
                container.killed_at = when.encode()
        return container

    def _take_order(self, name: str) -> str:
        """Read and delete a file that a test has written; empty if there is none."""
        order = self._home / name
        try:
            text = order.read_text()
            order.unlink()
        except FileNotFoundError:
            return ""
        return text

    def get(self, name: str) -> Container:
        if name not in self._all:
            raise errors.NotFound(name)
        return self._all[name]

    def list(self, **_: object) -> list[Container]:
        return list(self._all.values())


class Images:
    """Every image is there."""

    def get(self, name: str) -> str:
        return name


class Client:
    """Client that `docker.from_env` returns."""

    def __init__(self) -> None:
        self.containers = Containers()
        self.images = Images()

    def ping(self) -> bool:
        return True


def from_env(**_: object) -> Client:
    _behave_like_aws()
    _read_objects()
    return Client()


def _environment(given: dict[str, str]) -> dict[str, str]:
    """Return the environment of a container that is a process of this machine."""
    own = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ
    }
    return {**own, **_given(given), **json.loads(os.environ.get("STANDIN_ENVIRONMENT", "{}"))}


def _given(given: dict[str, str]) -> dict[str, str]:
    """Return the environment that ECS gives a container, with addresses of this machine."""
    here = {
        name: value.replace("host.docker.internal", "127.0.0.1") for name, value in given.items()
    }
    # Fargate sets these; the credentials endpoint of the emulator would cost a round trip.
    for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"):
        here.pop(name, None)
    keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    return {**keys, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", **here}


def _upper_camel_case(value: Any) -> Any:
    """Rename the fields of a task as Step Functions does: `exitCode` becomes `ExitCode`."""
    if isinstance(value, dict):
        return {
            f"{name[:1].upper()}{name[1:]}": _upper_camel_case(one) for name, one in value.items()
        }
    return [_upper_camel_case(one) for one in value] if isinstance(value, list) else value


def _behave_like_aws() -> None:
    from ministack.services import stepfunctions  # noqa: PLC0415  (it is importing us)

    poll = stepfunctions._poll_ecs_tasks
    start = stepfunctions._invoke_nested_start_execution

    def wait_for_all(cluster: str, task_arns: list[str]) -> dict[str, Any]:
        """Wait on where MiniStack gives up: after 600 polls, a minute with SFN_WAIT_SCALE 0.1."""
        for _ in range(MAX_WAIT_MIN):
            try:
                stopped: dict[str, Any] = poll(cluster, task_arns)
            except stepfunctions._ExecutionError as error:
                if error.error != "States.Timeout":
                    raise
            else:
                return stopped
        raise stepfunctions._ExecutionError("States.Timeout", "on a machine that is very busy")

    def poll_and_fail(cluster: str, task_arns: list[str]) -> dict[str, Any]:
        result = wait_for_all(cluster, task_arns)
        for task in result["tasks"]:
            codes = [container.get("exitCode") for container in task["containers"]]
            if any(code != 0 for code in codes):
                cause = json.dumps(_upper_camel_case(task), default=str)
                raise stepfunctions._ExecutionError("States.TaskFailed", cause)
        return result

    def start_or_name_the_error(resource: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = start(resource, request)
        except stepfunctions._ExecutionError as error:
            if error.error == "ExecutionAlreadyExists":
                error.error = "StepFunctions.ExecutionAlreadyExistsException"
            raise
        return answer

    stepfunctions._poll_ecs_tasks = poll_and_fail
    stepfunctions._invoke_nested_start_execution = start_or_name_the_error


def _read_objects() -> None:
    """Let state machines read objects of S3."""
    from ministack.services import stepfunctions  # noqa: PLC0415  (it is importing us)

    call_s3 = stepfunctions._dispatch_aws_sdk_rest_xml

    def call_or_read(
        service_info: dict[str, Any], service: str, action: str, request: dict[str, Any]
    ) -> dict[str, Any]:
        if (service, action) != ("s3", "getObject"):
            answer: dict[str, Any] = call_s3(service_info, service, action, request)
            return answer
        from ministack import app  # noqa: PLC0415

        path = f"/{request['Bucket']}/{request['Key']}"
        status, _, body = app.call_service_handler_sync(
            app.SERVICE_HANDLERS["s3"], "GET", path, {"host": "s3.amazonaws.com"}, b"", {}
        )
        if status != 200:
            raise stepfunctions._ExecutionError("S3.NoSuchKeyException", path)
        return {"Body": body.decode() if isinstance(body, bytes) else body}

    stepfunctions._dispatch_aws_sdk_rest_xml = call_or_read
