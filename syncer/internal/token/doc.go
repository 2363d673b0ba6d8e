// Package token writes the data of files as rsync's token streams.
//
// In go what delta.Match finds, literal bytes and numbers of blocks that the receiver has;
// out comes the form in which they travel, plain or compressed. The guarantee: a receiver of
// the same Kind that has the basis gets the bytes that went in.
//
//  1. Plain is a length and the bytes, or a negative block number.
//  2. The other kinds have flag bytes: runs of consecutive blocks in a few bytes, and records
//     of at most 16383 bytes of compressed data.
//  3. A run of literals is flushed in the compressor before the token behind it, so that
//     the receiver has all of it by then.
//  4. zlib and zlibx are a deflate stream for each file; with zlib the blocks that matched
//     are in the history that literals refer to. zstd is one stream for the whole
//     connection, lz4 a series of blocks that know nothing of each other.
//  5. Data of files that are compressed already can be stored, in the same format.
//
// Memory is that of one compressor and a window, and is used again from file to file. The
// facts are those of rsync 3.5.0 token.c.
package token
