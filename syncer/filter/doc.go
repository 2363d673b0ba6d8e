// Package filter holds rsync's filter rules: one implementation for watching, scanning and sending.
//
// In go the rules as rsync(1) writes them (--exclude, --include, their -from files, --filter), in the
// order of the command line; out comes a List that says of any path whether the sender hides it and
// whether the receiver protects it from deletion. Answers are those of rsync 3.5.0: a test compares
// random rules on random trees with the real program.
//
//		var b filter.Builder
//		err := errors.Join(b.Filter("P cache/"), b.Exclude("*.o"))
//		rules := b.Build()
//		rules.Excluded("src/main.o", false) // true
//
//	 1. A Builder reads rules, merge files included, into a flat list; "!" empties what was read so far.
//	 2. Each pattern is compiled once: what part of a path it looks at (the last component, the last n,
//	    the whole path, the whole path from any component on) and how it compares (bytes, or wildcards).
//	 3. A rule without a side counts on both. Build splits the list into the sender's and the receiver's.
//	 4. A path is held against one side's rules in order; the first that matches decides, and what none
//	    matches is included, and may be deleted.
//	 5. Where there are dir-merge rules a Tree decides. The rules in a directory are those of the one
//	    above with what its own files say before them, in the place of the dir-merge rule. They are made
//	    when a path is asked for, from the top down, by a function that opens files, and kept.
//
// Paths are relative to the root of the transfer, slash separated, without a leading slash, and raw
// bytes: neither patterns nor names need be UTF-8, and ranges and classes are those of the C locale.
// The root itself ("." or "") is never excluded. What a rule with the modifier "/" compares is the
// absolute path; At tells a List where its side's root lies.
//
// Matching never backtracks without bound: a pattern of m bytes needs at most m steps for each byte of
// a path, whatever stars it has.
//
// A rule that cannot be read is an *Error, which names the rule and where it came from. It wraps
// ErrSyntax, or what reading a merge file said. Unlike rsync, which drops a rule of 4096 bytes or more
// with a warning and takes a per-directory file that it may not read for none, this package makes an error
// of both: a dropped rule deletes or sends files.
//
// Left to the caller: the trailing slash of a source, which decides
// what the root of the transfer is; asking ancestors first (rsync never looks into an excluded
// directory; ExcludedPath does so for a single path); a symlink to a directory is not a directory.
//
// Facts: rsync(1), "FILTER RULES"; rsync 3.5.0 exclude.c (rule_matches, parse_rule_tok, send_rules) and
// lib/wildmatch.c (dowild, wildmatch_array), all checked against the program.
package filter
