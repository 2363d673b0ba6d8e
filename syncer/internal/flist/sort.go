package flist

import (
	"slices"
	"strings"
)

// Sort puts entries into the order that defines file indices. It is stable.
func Sort(entries []Entry) {
	if slices.IsSortedFunc(entries, compareEntries) {
		return // a walk of the tree yields them in order already
	}
	slices.SortStableFunc(entries, compareEntries)
}

func compareEntries(a, b Entry) int {
	return Compare(a.Name, a.IsDir(), b.Name, b.IsDir())
}

// Compare orders two names as both sides of a transfer must (rsync 3.5.0 flist.c,
// f_name_cmp, protocol 29 and later): "." first; in each directory what is no
// directory before the directories; a directory right before its content;
// directories as if a slash ended their names; bytes unsigned.
func Compare(a string, aDir bool, b string, bDir bool) int {
	if a == b {
		switch {
		case aDir == bDir:
			return 0
		case aDir:
			return 1
		}
		return -1
	}
	if a == "." && aDir {
		return -1
	}
	if b == "." && bDir {
		return 1
	}
	for {
		ac, aRest, aMore := strings.Cut(a, "/")
		bc, bRest, bMore := strings.Cut(b, "/")
		aIsDir, bIsDir := aMore || aDir, bMore || bDir
		if aIsDir != bIsDir {
			if bIsDir {
				return -1
			}
			return 1
		}
		if ac != bc {
			if !aIsDir {
				return strings.Compare(ac, bc)
			}
			return CompareDirNames(ac, bc)
		}
		// The same directory: the one that ends here is the directory itself.
		if !aMore {
			return -1
		}
		if !bMore {
			return 1
		}
		a, b = aRest, bRest
	}
}

// CompareDirNames orders two directories of one parent: as if a slash ended each name.
func CompareDirNames(a, b string) int {
	n := min(len(a), len(b))
	if c := strings.Compare(a[:n], b[:n]); c != 0 || len(a) == len(b) {
		return c
	}
	if len(a) > n {
		return int(a[n]) - '/'
	}
	return '/' - int(b[n])
}
