"""Look up the category of products."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.tables import NO_CATEGORY, UNKNOWN_CATEGORY
from kpi.kernels.arrays import Int64s
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import keys_of


class Products:
    """The latest version of every product: product id -> category.

    Attributes:
        categories: Names of all categories, ascending; a category's code is its position here.
    """

    def __init__(self, ids: pa.Array, categories: pa.Array) -> None:
        """Index the products.

        Args:
            ids: Distinct product ids.
            categories: Category of each; null where it has none.
        """
        self._index = KeyIndex(keys_of([pa.chunked_array([ids])]))
        texts = categories.cast(pa.string()).fill_null(NO_CATEGORY)
        names = sorted({UNKNOWN_CATEGORY, NO_CATEGORY, *pc.unique(texts).to_pylist()})
        self.categories: list[str] = names
        codes = pc.index_in(texts, value_set=pa.array(names, pa.string()))
        # Position -1, an unknown product, reads the last element.
        self._codes = np.append(
            codes.to_numpy(zero_copy_only=False).astype(np.int64), names.index(UNKNOWN_CATEGORY)
        )

    def category_codes(self, product_ids: pa.Array) -> Int64s:
        """Return the code of each product's category."""
        return self._codes[self._index.find(keys_of([pa.chunked_array([product_ids])]))]
