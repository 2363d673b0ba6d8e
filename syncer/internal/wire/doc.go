// Package wire is the outermost layer of rsync's protocol, versions 30 to 32: integers,
// multiplexing, and the limits that hold whatever the peer says.
//
// In go a connection and values; out come bytes, and values that were checked. The
// guarantee: no length from the peer allocates more than a named limit allows, no read
// from the peer panics, and neither side can block the other for ever.
//
//  1. Append functions write integers and strings into a byte slice.
//  2. Reader reads them back; its first error sticks, so that a parser reads linearly
//     and asks once.
//  3. Mux runs both directions of a multiplexed connection: a goroutine of its own
//     drains the peer, so that writing never waits for reading, keeps the connection
//     alive while nothing is to be said, and ends it when the peer goes silent.
//
// It knows bytes, not files. The facts are those of rsync 3.5.0 io.c.
package wire
