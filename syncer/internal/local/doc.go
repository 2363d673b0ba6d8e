// Package local makes a local directory equal to a source tree: rsync's generator and
// receiver without a wire between them.
//
// In go an open source and options in rsync's words; out come what was done (Stats,
// Items), what was not brought over and why (Problems), and the files that changed
// while they were read. The guarantees are those of package tree, and of deleting: a
// name goes only when its directory was listed without any error, no rule protects it, and
// one more look at the source right before says that it is not there. rsync deletes nothing
// anywhere once it saw an error; here the directory that could not be read is spared, and only
// it. IgnoreErrors is without the first rule, but never without the look: what cannot be
// looked at stays.
//
//  1. Full walks the source directory by directory, Partial takes a plan's paths in
//     the same order. Memory follows the largest directory and the depth. The source is read
//     a few directories ahead.
//  2. For each directory: its twin is made or opened, extraneous names are deleted,
//     what is no directory is brought over, then its subdirectories. Last, its own
//     time and mode are restored. With DeleteWhen Before and After a pass of its own, ahead of
//     the walk or behind it, finds what is extraneous; with Delay the walk remembers it.
//  3. The quick check (decide): size and mtime agree, to the nanosecond or as finely as
//     the target keeps times. Where a change may hide behind that (a content hint, a ctime
//     not before since, Checksum), bytes decide; where an option leaves no doubt, it does.
//  4. Files that differ go to a few workers, each the whole way from open to rename.
//     One collector takes all that was done in the order of the walk: it alone keeps
//     the statistics, calls the sink, and restores directories.
//  5. With HardLinks, the first name of a group is brought over like any file; the others
//     become links to it when the collector comes to them, by when it is in its place.
//  6. With DelayUpdates, files wait in PartialDir; when all are there the collector puts one
//     after the other into its place, and then makes the links.
//
// A local copy is always whole (rsync's -W): every byte copied, by the kernel or as a
// reflink, counts as literal; what Partial kept is not begun with, but removed once the file is
// whole. Where TempDir is on another file system, the file is copied once more, beside its
// place, and renamed: rsync copies over it. Inplace and Append write into the file that
// stands, and Partial without a directory puts what there is of a file into its place. A file
// that changed while it was read is put in place like any other, but without the source's
// mtime, so that even after a crash the next comparison sees a difference.
//
// Attributes that could not be set are a Problem, but keep no name from its place, as in rsync.
// A Problem of a directory speaks for all below it. When the target is full, files are
// no longer tried after a few failures, but the walk goes on: deleting may make room.
// An error beside the Result means that the push did not come to its end.
//
// Left to the caller: who may delete (the source's identity), trying again, and locks:
// one push at a time per target. Facts: rsync(1), rsync 3.5.0 generator.c (recv_generator, itemize,
// delete_in_dir), receiver.c, rsync.c (set_file_attrs, dest_mode, finish_transfer), hlink.c,
// xattrs.c, acls.c, delete.c, backup.c, util1.c (handle_partial_dir), cleanup.c.
package local
