//! The specification of the format, its vectors, and a slow plain decoder.
