"""Random shops are written as files, inferred, run, and compared with an oracle."""
