package watcher

import "strings"

// inode names a directory for as long as it exists, whatever its path.
type inode struct{ dev, ino uint64 }

// node is a directory that is watched or polled. Children are a linked list, so that a leaf costs
// no map: a node takes 80 bytes, plus its path, whose bytes fsnotify keeps anyway.
type node struct {
	path                    string // absolute
	parent, kid, next, prev *node
	id                      inode
	polled                  bool // it has no watch
}

// table holds every known directory by path and, where it is watched, by inode. A node's parent
// is always in the table too, up to the root.
type table struct {
	byPath map[string]*node
	byIno  map[inode]*node
}

func newTable() table {
	return table{byPath: make(map[string]*node), byIno: make(map[inode]*node)}
}

// insert adds a directory that is not in the table; parent is nil for the root only. A polled one
// has the zero inode: it is known by its path alone.
func (t *table) insert(path string, parent *node, id inode) *node {
	n := &node{path: path, parent: parent, id: id, polled: id == inode{}}
	if parent != nil {
		n.next = parent.kid
		if n.next != nil {
			n.next.prev = n
		}
		parent.kid = n
	}
	t.byPath[path] = n
	if !n.polled {
		t.byIno[id] = n
	}
	return n
}

// remove takes n and all below it out of the table, and calls each for every one of them, parents
// first. The cost follows the subtree.
func (t *table) remove(n *node, each func(*node)) {
	t.detach(n)
	for todo := []*node{n}; len(todo) > 0; {
		m := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for k := m.kid; k != nil; k = k.next {
			todo = append(todo, k)
		}
		delete(t.byPath, m.path)
		t.dropInode(m)
		each(m)
	}
}

func (t *table) detach(n *node) {
	switch {
	case n.prev != nil:
		n.prev.next = n.next
	case n.parent != nil:
		n.parent.kid = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.parent, n.next, n.prev = nil, nil, nil
}

// dropInode forgets which path n's inode has, unless the inode is known as another's by now.
func (t *table) dropInode(n *node) {
	if t.byIno[n.id] == n {
		delete(t.byIno, n.id)
	}
}

// parentPath gives the directory part of an absolute path; "/" has none.
func parentPath(abs string) string {
	switch i := strings.LastIndexByte(abs, '/'); {
	case i > 0:
		return abs[:i]
	case abs == "/":
		return ""
	default:
		return "/"
	}
}

func joinPath(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

// relPath gives abs relative to root, sharing its bytes; ok is false for a path outside.
func relPath(root, abs string) (rel string, ok bool) {
	if abs == root {
		return ".", true
	}
	if root != "/" {
		if !strings.HasPrefix(abs, root) {
			return "", false
		}
		abs = abs[len(root):]
	}
	if len(abs) < 2 || abs[0] != '/' {
		return "", false
	}
	return abs[1:], true
}
