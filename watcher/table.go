package watcher

import (
	"hash/maphash"
	"strings"
)

// inode names a directory for as long as it exists, whatever its path.
type inode struct{ dev, ino uint64 }

// nodeID is a node's number in its table; 0 is none.
type nodeID uint32

// node is a directory that is watched or polled. Children are a linked list, by number, so that a leaf
// costs nothing more: a node takes 56 bytes, plus its path, whose bytes fsnotify shares.
type node struct {
	path                          string // absolute
	id                            inode
	self, parent, kid, next, prev nodeID
	polled                        bool // it has no watch
}

// slabSize is how many nodes are made at once: they hold few pointers, and lie together.
const slabSize = 1024

// table holds every known directory by path and, where it is watched, by inode. A node's parent
// is always in the table too, up to the root.
type table struct {
	slabs  []*[slabSize]node
	free   nodeID // first of the unused nodes, linked by next
	size   int    // nodes in use
	byPath hashed
	byIno  hashed
	seed   maphash.Seed
}

func newTable() table { return table{seed: maphash.MakeSeed()} }

func (t *table) node(id nodeID) *node { return &t.slabs[id/slabSize][id%slabSize] }

// at gives the directory known at path, nil if there is none.
func (t *table) at(path string) *node {
	return t.found(t.byPath.find(t.pathHash(path), func(id nodeID) bool { return t.node(id).path == path }))
}

// ofInode gives the watched directory with that inode, nil if there is none.
func (t *table) ofInode(ino inode) *node {
	return t.found(t.byIno.find(ino.hash(), func(id nodeID) bool { return t.node(id).id == ino }))
}

func (t *table) found(id nodeID) *node {
	if id == 0 {
		return nil
	}
	return t.node(id)
}

func (t *table) pathHash(path string) uint64 { return maphash.String(t.seed, path) }

// hash mixes what differs between inodes of one filesystem, which is little, into all bits
// (Fibonacci hashing).
func (i inode) hash() uint64 {
	h := (i.ino ^ i.dev<<40) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

// insert adds a directory that is not in the table; parent is nil for the root only. A polled one
// has the zero inode: it is known by its path alone.
func (t *table) insert(path string, parent *node, id inode) *node {
	n := t.alloc()
	*n = node{path: path, id: id, self: n.self, polled: id == inode{}}
	if parent != nil {
		n.parent, n.next = parent.self, parent.kid
		if n.next != 0 {
			t.node(n.next).prev = n.self
		}
		parent.kid = n.self
	}
	t.byPath.insert(t.pathHash(path), n.self, func(id nodeID) uint64 { return t.pathHash(t.node(id).path) })
	if !n.polled {
		t.dropInode(id)
		t.byIno.insert(id.hash(), n.self, func(id nodeID) uint64 { return t.node(id).id.hash() })
	}
	t.size++
	return n
}

// alloc gives an unused node, with its number.
func (t *table) alloc() *node {
	if t.free == 0 {
		slab, base := new([slabSize]node), nodeID(len(t.slabs)*slabSize)
		t.slabs = append(t.slabs, slab)
		for i := range slab {
			if base+nodeID(i) > 0 {
				slab[i].self, slab[i].next = base+nodeID(i), t.free
				t.free = slab[i].self
			}
		}
	}
	n := t.node(t.free)
	t.free = n.next
	return n
}

// remove takes n and all below it out of the table, and calls each for every one of them, parents
// first. The cost follows the subtree. n is not to be used after it.
func (t *table) remove(n *node, each func(*node)) {
	t.detach(n)
	for todo := []nodeID{n.self}; len(todo) > 0; {
		m := t.node(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		for k := m.kid; k != 0; k = t.node(k).next {
			todo = append(todo, k)
		}
		t.byPath.remove(t.pathHash(m.path), m.self, func(id nodeID) uint64 { return t.pathHash(t.node(id).path) })
		if t.ofInode(m.id) == m {
			t.dropInode(m.id)
		}
		each(m)
		*m = node{self: m.self, next: t.free}
		t.free = m.self
		t.size--
	}
}

func (t *table) detach(n *node) {
	switch {
	case n.prev != 0:
		t.node(n.prev).next = n.next
	case n.parent != 0:
		t.node(n.parent).kid = n.next
	}
	if n.next != 0 {
		t.node(n.next).prev = n.prev
	}
	n.parent, n.next, n.prev = 0, 0, 0
}

// dropInode forgets which directory has that inode.
func (t *table) dropInode(ino inode) {
	if n := t.ofInode(ino); n != nil {
		t.byIno.remove(ino.hash(), n.self, func(id nodeID) uint64 { return t.node(id).id.hash() })
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
