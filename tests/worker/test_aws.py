"""AWS clients are made of the same descriptions as botocore's own loader finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader

from worker.aws import Descriptions

TYPES = ("service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2")


@pytest.mark.parametrize("service", ["s3", "dynamodb", "sts", "sso", "ec2"])
@pytest.mark.parametrize("kind", TYPES)
def test_descriptions_are_those_of_botocore(service: str, kind: str) -> None:
    def read(loader: Loader) -> object:
        try:
            return loader.load_service_model(service, kind)
        except UnknownServiceError:
            return None

    assert read(Descriptions()) == read(Loader())


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_so_is_what_belongs_to_no_service(name: str) -> None:
    assert Descriptions().load_data(name) == Loader().load_data(name)


def test_what_is_not_there_is_told_as_botocore_does(tmp_path: Path) -> None:
    (tmp_path / "bare" / "2020-01-01").mkdir(parents=True)
    (tmp_path / "bare" / "2020-01-01" / "service-2.json").write_text("{}")
    for loader in (Loader(), Descriptions()):
        loader.search_paths.append(str(tmp_path))
        assert loader.load_service_model("bare", "service-2") == {}
        for service, kind in (("bare", "endpoint-rule-set-1"), ("none", "service-2")):
            with pytest.raises(UnknownServiceError, match=service):
                loader.load_service_model(service, kind)
        with pytest.raises(DataNotFoundError):
            loader.load_data("nothing")
