//! Byte formats of Pravega and BookKeeper: pure codecs, bytes to values and back.
