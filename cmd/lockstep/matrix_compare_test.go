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
// blocks and times of access where the options are about them, and by rsync's.
func compareTargets(t testing.TB, theirs, mine string, args []string) []string {
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
		diffs = append(diffs, "\t"+d.String()+"\n")
	}
	told := runIn(t, theirs, "rsync", "-aHAXnic", "--delete", "-@-1", b+"/", a)
	if told.stdout != "" || told.code != 0 {
		diffs = append(diffs, fmt.Sprintf("rsync -aHAXnic --delete ends with %d:\n%s%s", told.code, told.stdout, told.stderr))
	}
	return diffs
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
