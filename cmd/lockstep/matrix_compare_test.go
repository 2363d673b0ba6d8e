package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// compareTargets says in what two targets differ, a line each: by our own comparison (names,
// types, bytes, modes, owners, times to the nanosecond, links, link groups, xattrs, ACLs), by
// blocks and times of access where the options are about them, and by rsync's. Nothing is said
// of the paths in but.
func compareTargets(t testing.TB, theirs, mine string, args, but []string) []string {
	t.Helper()
	a, b := filepath.Join(theirs, "dst"), filepath.Join(mine, "dst")
	var diffs []string
	// First: looking at files reads them.
	if has(args, 'U') {
		diffs = append(diffs, compareStat(t, a, b, "atime", func(st *unix.Stat_t) int64 { return st.Atim.Nano() })...)
	}
	if has(args, 'S') {
		diffs = append(diffs, compareStat(t, a, b, "blocks", func(st *unix.Stat_t) int64 { return st.Blocks })...)
	}
	settleTarget(t, theirs)
	settleTarget(t, mine)
	found, err := syncertest.Compare(a, b, syncertest.CompareOptions{HardLinks: true, Xattrs: true, IgnoreOwners: os.Geteuid() != 0})
	must(t, err)
	for _, d := range found {
		if slices.Contains(but, d.Path) {
			continue
		}
		diffs = append(diffs, "\t"+d.String()+"\n")
	}
	return append(diffs, compareByRsync(t, a, b, args, but)...)
}

// compareByRsync gives what rsync would change in b.
func compareByRsync(t testing.TB, a, b string, args, but []string) []string {
	t.Helper()
	var known []string
	if slices.Contains(args, "--fake-super") || slices.Contains(args, "-M--fake-super") {
		// rsync takes its own attributes for what they stand for: a tree is not even like itself.
		known = rsyncChanges(t, a, a)
	}
	var diffs []string
	for _, line := range rsyncChanges(t, a, b) {
		_, name, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(strings.TrimSpace(name), " -> ")
		name, _, _ = strings.Cut(name, " => ")
		if !slices.Contains(but, strings.TrimSuffix(name, "/")) && !slices.Contains(known, line) {
			diffs = append(diffs, "\trsync -aHAXnic: "+line+"\n")
		}
	}
	return diffs
}

func rsyncChanges(t testing.TB, a, b string) []string {
	t.Helper()
	told := runIn(t, a, "rsync", "-aHAXnic", "--delete", "-@-1", a+"/", b)
	if told.code != 0 {
		t.Errorf("rsync -aHAXnic --delete ends with %d: %s", told.code, told.stderr)
	}
	return strings.FieldsFunc(told.stdout, func(r rune) bool { return r == '\n' })
}

// has says whether one of the options is the short one.
func has(args []string, letter rune) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && strings.ContainsRune(arg, letter)
	})
}

// compareStat compares a number of each regular file that is in both trees.
func compareStat(t testing.TB, a, b, what string, number func(*unix.Stat_t) int64) []string {
	t.Helper()
	var diffs []string
	must(t, filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(a, path)
		if err != nil {
			return err
		}
		var x, y unix.Stat_t
		if err := unix.Lstat(path, &x); err != nil {
			return err
		}
		if unix.Lstat(filepath.Join(b, rel), &y) == nil && number(&x) != number(&y) {
			diffs = append(diffs, fmt.Sprintf("\t%q: %s: %d != %d\n", rel, what, number(&x), number(&y)))
		}
		return nil
	}))
	return diffs
}
