"""Errors of the Docker SDK that MiniStack catches by name."""


class DockerException(Exception):
    pass


class NotFound(DockerException):
    pass


class ImageNotFound(NotFound):
    pass


class APIError(DockerException):
    pass
