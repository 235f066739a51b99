"""Errors of the Docker SDK that MiniStack catches by name."""


class DockerException(Exception):  # noqa: N818  (the SDK's own name)
    pass


class NotFound(DockerException):
    pass


class ImageNotFound(NotFound):
    pass


class APIError(DockerException):
    pass
