"""What a transform reads instead of ledger and clean zone; nothing of it is ever needed.

    index/current.json              the manifest of the key index
    index/<32 hex digits>.run       pointers of several tables, named by their bytes
    index/uploads.json              the manifest of the checkpoint
    index/<32 hex digits>.parquet   accepted uploads of a range of sequences, named by their bytes
    index/sums.json                 the manifest of the sums
    index/<32 hex digits>.sums      the sums of a day, named by their bytes; its customers are a run
    index/intake.json               what came, in counters

Those of another shop than `default` have its folder below `index/`.

*Key index*: runs of sorted pointers. The manifest says up to which ledger sequence every clean row
has its pointers; readers look into later files themselves. Without it, or with an old one, the same
files are found by the bounds in the ledger, only more of them.

*Checkpoint*: what the ledger says up to a sequence. Readers take the records after it from the
ledger; without it, all.

*Sums*: what the KPIs of a day with many orders are made of, at a sequence. A transform takes away
what the touched orders added then, and adds what they add now; without them, all orders are read.

*Intake*: files and rows of each dataset, when they came, and which are refused, up to a sequence.
`shopkpi status` counts the records after it; without it, the first ones of the ledger.

Whoever extends one writes an object, then the manifest. A lost race leaves an object that nobody
names.
"""
