"""Names that are no data, and names that are nearly those of a dataset's folder."""

from __future__ import annotations

import pytest

from worker.validate.input_names import is_ignored, nearest_folder

FOLDERS = ("orders", "order_items", "products")


@pytest.mark.parametrize(
    "key",
    [
        *("orders/.hidden.csv", ".git/orders/1.csv", "orders/.1.csv.Xa3b", "orders/._1.csv"),
        *("orders/_SUCCESS", "orders/_committed_77", "orders/_started_12", "_temporary/0/1.csv"),
        *("orders/2025_$folder$", "orders/~$o.xlsx", "orders/Thumbs.db", "orders/DESKTOP.INI"),
        *("__MACOSX/orders/1.csv", "orders/1.csv.part", "orders/1.csv.filepart", "orders/1.tmp"),
        *("orders/1.csv~", "orders/#1.csv#", "orders/1.csv.bak", "orders/1.csv.crdownload"),
        *("orders/1.csv.md5", "orders/1.csv.SHA256", "orders/1.crc", "orders/SHA256SUMS"),
        *("orders/checksums.txt", "orders/manifest.json", "orders/README.txt", "readme.md"),
    ],
)
def test_marker_and_temporary_names_are_ignored(key: str) -> None:
    assert is_ignored(key)


@pytest.mark.parametrize(
    "key",
    [
        *("orders/1.csv", "orders/_1.csv", "orders/part-0001.csv", "orders/2025/1.csv"),
        *("orders/1.part.csv", "orders/tmp.csv", "orders/backup.csv", "orders/1", "orders/a~b.csv"),
        *("orders/_orders_2025.csv", "orders/temp/1.csv", "orders/partial.csv.gz"),
        *("orders/md5.csv", "orders/manifest.csv", "orders/readme.csv", "manifest/orders/1.csv"),
    ],
)
def test_names_of_data_are_not_ignored(key: str) -> None:
    assert not is_ignored(key)


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("order-items/1.csv", "order_items"),
        ("OrderItems/2025/1.csv", "order_items"),
        ("Orders/1.csv", "orders"),
        ("order/1.csv", "orders"),
        ("orders.csv", "orders"),
        ("2025/Product/a.csv", "products"),
        ("products_export_1.csv", "products"),
    ],
)
def test_the_nearest_folder_is_found(key: str, folder: str) -> None:
    assert nearest_folder(key, FOLDERS) == folder
