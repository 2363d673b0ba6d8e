package debounce

import (
	"strings"
	"time"
)

// node is a path in the queue's tree: a queued entry, a directory on the way to one, or both.
type node struct {
	path                      string // full path: children's nodes share its bytes
	parent, child, prev, next *node
	first                     time.Duration // first seen; what Oldest reports
	since                     time.Duration // fresh entries: when the present wait began
	at                        int32         // place in the due heap; -1: not queued
	below                     int32         // queued entries strictly below
	streak                    uint8         // quick returns in a row, see heat
	mark                      mark
}

type mark uint8

const (
	isTree mark = 1 << iota
	isContent
	isDeferred // due at the time given to Defer, not by the settle rule
	isLeaving  // being taken
	isCovered  // being taken, and a Tree entry above it as well
	isOpen     // its writer is not done
	isLevel
	isUrgent // due, whatever happens to it: see Flush
)

func (n *node) is(m mark) bool { return n.mark&m != 0 }
func (n *node) queued() bool   { return n.at >= 0 }

// freshTree reports an entry that speaks for everything below it, promptly.
func (n *node) freshTree() bool { return n.queued() && n.mark&(isTree|isDeferred) == isTree }

// total counts the entries at and below n.
func (n *node) total() int {
	if n.queued() {
		return int(n.below) + 1
	}
	return int(n.below)
}

// tree finds nodes by path and by kinship. A single map serves all directories: a map for each would
// cost more than the nodes in a tree of small directories.
type tree struct {
	root  *node
	nodes map[string]*node
	peak  int // most nodes since the map was made; maps do not shrink
}

func newTree() tree {
	root := &node{path: ".", at: -1}
	return tree{root: root, nodes: map[string]*node{".": root}}
}

// parentPath of anything but the root. It cuts at the slash and nowhere else: in byte order "a.b"
// stands between "a" and "a/b", so no neighbour in a sorted list could tell what is below what.
func parentPath(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return "."
}

// nearest returns the node of p or of its closest ancestor that has one.
func (t *tree) nearest(p string) *node {
	for {
		if n := t.nodes[p]; n != nil {
			return n
		}
		p = parentPath(p)
	}
}

// grow returns the node of p, making those that lack between it and its ancestor n.
func (t *tree) grow(n *node, p string) *node {
	for len(n.path) < len(p) || n == t.root && p != "." {
		start := 0
		if n != t.root {
			start = len(n.path) + 1
		}
		end := len(p)
		if i := strings.IndexByte(p[start:], '/'); i >= 0 {
			end = start + i
		}
		n = t.link(n, p[:end])
	}
	t.peak = max(t.peak, len(t.nodes))
	return n
}

func (t *tree) link(parent *node, p string) *node {
	n := &node{path: p, parent: parent, next: parent.child, at: -1}
	if n.next != nil {
		n.next.prev = n
	}
	parent.child = n
	t.nodes[p] = n
	return n
}

// count adds d entries to everything above n.
func (t *tree) count(n *node, d int32) {
	for n = n.parent; n != nil; n = n.parent {
		n.below += d
	}
}

// prune drops n, and what is above it, as far as nothing is queued at or below. What is out of the tree
// has no parent, as the root, and stays as it is.
func (t *tree) prune(n *node) {
	for n.parent != nil && n.child == nil && !n.queued() {
		up := n.parent
		if n.prev != nil {
			n.prev.next = n.next
		} else {
			up.child = n.next
		}
		if n.next != nil {
			n.next.prev = n.prev
		}
		delete(t.nodes, n.path)
		n.parent = nil
		n = up
	}
	t.shrink()
}

// cut drops everything below n from the tree and hands each dropped entry to f.
func (t *tree) cut(n *node, f func(*node)) {
	if n == t.root {
		t.nodes = map[string]*node{".": n} // quicker than emptying it, and gives the memory back
		t.peak = 1
	}
	cutBelow(t, n, f)
	n.child, n.below = nil, 0
	t.shrink()
}

func cutBelow(t *tree, n *node, f func(*node)) {
	for c := n.child; c != nil; c = c.next {
		cutBelow(t, c, f)
		delete(t.nodes, c.path)
		if c.queued() {
			f(c)
		}
	}
}

// shrink makes the map anew once it is all but empty, so that a burst does not hold its memory for ever.
func (t *tree) shrink() {
	const worthIt = 1 << 12
	if t.peak < worthIt || len(t.nodes) > t.peak/8 {
		return
	}
	nodes := make(map[string]*node, len(t.nodes))
	for p, n := range t.nodes {
		nodes[p] = n
	}
	t.nodes, t.peak = nodes, len(nodes)
}
