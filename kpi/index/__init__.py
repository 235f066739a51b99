"""The key index: where the rows of a key are, without reading the clean zone.

A *pointer* says that one row of one source object has a key. It holds no value and no version, so
nothing that happens later changes it: an update, a retraction or another contract only says which
of the rows found count. The clean row decides; two keys that share a word cost a read.
"""
