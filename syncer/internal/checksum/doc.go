// Package checksum computes the sums of rsync's algorithm.
//
// In go bytes; out come the rolling sum that finds candidates for a match, and the
// strong sums that confirm it: per block with the connection's seed, per file without.
//
//  1. Rolling is the weak 32-bit sum of a block; Roll moves it by one byte.
//  2. Kind names a strong sum: its length, and its name in the negotiation.
//  3. Kind.New hashes whole files, Kind.Block makes a hasher of blocks.
//
// The facts are those of rsync 3.5.0 checksum.c; the definition of the rolling sum is
// in the technical report "The rsync algorithm" (Tridgell and Mackerras, 1996).
package checksum
