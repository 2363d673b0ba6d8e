package state

import (
	"fmt"
	"slices"
	"strings"
)

// Path names an entry below the root, or with Tree that and all below it.
type Path struct {
	Name string // slash separated and relative to the root, which is "."
	Tree bool
}

// maxName bounds the names that are kept, in bytes: the kernel's paths end there, and rsync's. What is deeper is in
// doubt for ever, as the directory at this depth.
const maxName = 4 << 10

// covers reports whether all that q says is said by p, too.
func (p Path) covers(q Path) bool {
	if p.Name == q.Name {
		return p.Tree || !q.Tree
	}
	return p.Tree && isBelow(q.Name, p.Name)
}

// isBelow reports whether name is below dir, and not dir itself.
func isBelow(name, dir string) bool {
	if dir == "." {
		return name != "."
	}
	return len(name) > len(dir) && name[len(dir)] == '/' && name[:len(dir)] == dir
}

// splitName cuts name into the directory that holds it and its name there. The root is in none.
func splitName(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return ".", name
	}
	return name[:i], name[i+1:]
}

func joinName(dir, base string) string {
	if dir == "." {
		return base
	}
	return dir + "/" + base
}

// above calls f for name and each directory above it, the root last, until f says no.
func above(name string, f func(name string) bool) {
	for f(name) && name != "." {
		name, _ = splitName(name)
	}
}

func checkName(name string) error {
	if name == "." {
		return nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || strings.IndexByte(part, 0) >= 0 {
			return fmt.Errorf("%q is no relative path in its shortest form", name)
		}
	}
	return nil
}

// shorten makes of a name that is too long to be kept the directory above it that is not, as a tree.
func (p Path) shorten() Path {
	if len(p.Name) <= maxName {
		return p
	}
	if i := strings.LastIndexByte(p.Name[:maxName+1], '/'); i > 0 {
		return Path{p.Name[:i], true}
	}
	return Path{".", true}
}

// distinct returns what is left of paths without those that another covers, sorted.
func distinct(paths []Path) ([]Path, error) {
	all := make(map[string]bool, len(paths))
	for _, p := range paths {
		if err := checkName(p.Name); err != nil {
			return nil, err
		}
		p = p.shorten()
		all[p.Name] = all[p.Name] || p.Tree
	}
	return sorted(all), nil
}

// sorted returns the paths in set, a map from name to Tree, that no other covers.
func sorted(set map[string]bool) []Path {
	list := make([]Path, 0, len(set))
	for name, tree := range set {
		p := Path{name, tree}
		if !coveredAbove(set, name) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Path) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// coveredAbove reports whether a directory above name is in set as a tree.
func coveredAbove(set map[string]bool, name string) bool {
	if name == "." {
		return false
	}
	dir, _ := splitName(name)
	return coveredBy(set, dir)
}

// coveredBy reports whether name or a directory above it is in set as a tree.
func coveredBy(set map[string]bool, name string) bool {
	found := false
	above(name, func(n string) bool {
		found = set[n]
		return !found
	})
	return found
}
