// Package delta finds in a new file what the receiver already has in its old one.
//
// In go the sums of the receiver's blocks and the new file; out come tokens: block
// numbers where the receiver can copy, literal bytes where it cannot. The guarantee:
// applied to the basis that the sums came from, the tokens give the new file, byte for
// byte, unless two different blocks share a strong sum, which the checksum of the whole
// file then tells.
//
//  1. ReadSums reads the head and the sums, all lengths checked against limits.
//  2. A window of one block slides over the new file. Right behind a match the block
//     that follows it is tried first: most of a changed file is unchanged.
//  3. Elsewhere the rolling sum is looked up in a table; a candidate counts when the
//     strong sum agrees too. A bound on candidates keeps hostile sums from costing
//     quadratic time.
//  4. What no block matches is literal.
//
// It knows bytes, not sockets: the sender moves the tokens. The facts are those of
// rsync 3.5.0 match.c and io.c (read_sum_head).
package delta
