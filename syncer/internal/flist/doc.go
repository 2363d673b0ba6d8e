// Package flist is the file list: its entries, their order, and their encoding on the wire.
//
// In go entries in any order; out come the one order that both sides of a transfer
// agree on (a position in it is a file index), and the bytes of the list for
// protocol 30 to 32. Decoding is the mirror of encoding: it bounds every length
// before it allocates and never panics on what a peer sent.
//
//  1. Sort puts entries into the protocol's order: in each directory first what is
//     no directory, then the directories, each followed by its content.
//  2. Encoder appends entry after entry; what equals the previous entry is left out, and so is
//     what a hard link shares with its group's first. ACLs and sets of extended attributes
//     that were sent before travel as a number.
//  3. End closes the list; AppendIDs adds the names of users and groups.
//
// Reading the disk is the business of package source. The facts are those of rsync
// 3.5.0 flist.c (send_file_entry, recv_file_entry, f_name_cmp), uidlist.c, acls.c and xattrs.c.
package flist
