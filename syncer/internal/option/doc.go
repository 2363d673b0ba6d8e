// Package option holds rsync's options, by rsync's names.
//
// One Set goes down from the command line to whoever obeys it: source (what takes part and
// what it looks like), sender (what the peer is told, and the wire), local (a local target).
// Options that are only words for the peer are in it too. Values that have a small language
// of their own (--chmod, --usermap) are parsed here, so that all targets understand the same.
package option
