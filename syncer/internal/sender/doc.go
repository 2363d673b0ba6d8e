// Package sender pushes to a stock rsync: it is the client and the sender of rsync's
// protocol, versions 30 to 32.
//
// In go a connection, options and a file list; out come what the peer asked for, and a
// result that says what arrived. The guarantee: success is reported only when the peer
// went through all its phases without an error; whatever it sends instead, the outcome
// is an error that names it, within bounded memory, never a panic and never a hang that
// outlasts the timeout.
//
//  1. Hello speaks the daemon's lines: greeting, module, authentication.
//  2. The arguments tell the peer what the client's options are; setup reads what it
//     can do and agrees on a checksum.
//  3. The filter rules and the file list go out; both sides sort the list alike. Of a whole tree
//     it goes in pieces, a directory each, while 4 is under way.
//  4. The peer's generator asks for what it lacks, with the sums of what it has. Each
//     request is answered with tokens (packages delta and token) and the checksum of the whole
//     file. The matching goes along with the sums as they arrive.
//  5. Three phases (data, redo, delayed updates) and a goodbye end the run.
//
// Retrying is the caller's, as is the decision what to list. The facts are those of
// rsync 3.5.0: clientserver.c, compat.c, options.c (server_options), sender.c, main.c
// (read_final_goodbye).
package sender
