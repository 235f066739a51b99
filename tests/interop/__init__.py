"""Other engines on Iceberg tables: `make interop`, in an environment of its own."""
