// Package source reads the tree that is pushed.
//
// In go a root directory, options and, for a partial push, the paths that may
// differ; out come list entries, open files, and the paths that could not be read.
// The guarantee: what is reported as missing was missing (its parent was there and
// the name was not), what could not be read is a Problem and never looks like a
// deletion, and nothing outside the root is ever opened, whatever is swapped in, but through the
// symlinks that an option has followed: those lead wherever they lead.
//
//  1. Open opens the root and tells who it is (Identity); the push reads below that very
//     descriptor to its end. Between pushes nothing is held open, so that the file system
//     can be unmounted; what was mounted below the root is checked where it is read.
//  2. ReadDir lists one directory: filtered, lstat'ed, in the protocol's order.
//  3. Walk goes through a whole subtree, one directory in memory at a time.
//  4. Plan looks at changed paths: present, gone (as the topmost missing name, or unsure
//     where a rule asks for the type it had), or a subtree; with the directories above.
//
// A Scope is what of the tree takes part: all, one name (with the directories above it implied,
// as with --relative), or the names of --files-from. Entries are as the options have them: what a
// followed symlink leads to, with the mode of --chmod, with what --fake-super keeps in attributes.
//
// Who may delete what follows from the root's identity: the caller keeps the first
// one and refuses to push when it changed.
package source
