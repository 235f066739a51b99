"""The key index of a workspace: runs of sorted pointers, and the manifest that names them.

    index/current.json          the manifest
    index/<32 hex digits>.run   pointers of several tables, named by their bytes

Those of another shop than `default` have its folder below `index/`.

The manifest says up to which ledger sequence every clean row has its pointers; readers look into
later files themselves. So the index is never needed: without it, or with an old one, the same files
are found by the bounds in the ledger, only more of them. Whoever extends it writes a new run, then
the manifest. A lost race leaves a run that nobody names.
"""
