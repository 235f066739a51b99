"""Record framing (RFC 4180): from a stream of bytes to chunks of whole records."""
