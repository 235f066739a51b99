"""Erase one customer from everything that a workspace and its ledger hold.

1. *Find* the rows, in every object that an entry names (`scan`): of contracts that are not in force
   as well, of files that were retracted, replaced or refused.
2. *Rewrite* each such object under a key of its own (`rewriting`), and stage an entry that names
   the new ones. Nobody reads them yet.
3. *Erase*: one record puts all of them in the place of the others, on condition that the ledger has
   got no other record since its entries were listed. Otherwise the new ones come next.
4. *Purge* (`purge`): delete the objects that were replaced, and what dead workers left.

A process may die anywhere: the same command finds what is staged, or the erasure, and goes on.
`places` lists everything that may hold rows of customers.
"""
