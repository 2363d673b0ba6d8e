package debounce

import (
	"math/bits"
	"time"
)

// dueHeap orders the queued nodes by when they are due, earliest first. Written out instead of
// container/heap: with a million entries the times have to lie side by side, not behind pointers.
type dueHeap []dueItem

type dueItem struct {
	due time.Duration
	n   *node
}

// push queues n as due at the end of time, until set says better.
func (h *dueHeap) push(n *node) {
	n.at = int32(len(*h))
	*h = append(*h, dueItem{forEver, n})
}

func (h dueHeap) due(n *node) time.Duration { return h[n.at].due }

func (h dueHeap) set(n *node, due time.Duration) {
	h[n.at].due = due
	h.fix(int(n.at))
}

func (h dueHeap) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h *dueHeap) remove(n *node) {
	i, last := int(n.at), len(*h)-1
	h.swap(i, last)
	(*h)[last] = dueItem{}
	*h = (*h)[:last]
	if i < last {
		h.fix(i)
	}
	n.at = -1
}

// removeAll takes many out at once: one by one, or, where that would cost more, by building the heap
// anew. Either way the cost follows what is removed.
func (h *dueHeap) removeAll(gone []*node) {
	size := len(*h)
	if len(gone)*bits.Len(uint(size)) < size {
		for _, n := range gone {
			h.remove(n)
		}
		return
	}
	for _, n := range gone {
		n.at = -1
	}
	keep := make(dueHeap, 0, size-len(gone)) // a fresh one gives a burst's memory back
	for _, it := range *h {
		if it.n.at >= 0 {
			it.n.at = int32(len(keep))
			keep = append(keep, it)
		}
	}
	*h = keep
	for i := len(keep)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// until lists the nodes that are due at t. It walks the top of the heap only.
func (h dueHeap) until(t time.Duration) []*node {
	if len(h) == 0 || h[0].due > t {
		return nil
	}
	out := []*node{h[0].n}
	for done := 0; done < len(out); done++ { // out doubles as the list of places to look below
		i := int(out[done].at)
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].due <= t {
				out = append(out, h[c].n)
			}
		}
	}
	return out
}

func (h dueHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].n.at, h[j].n.at = int32(i), int32(j)
}

func (h dueHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].due <= h[i].due {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

// down moves an item below what is due earlier; and reports whether it had to.
func (h dueHeap) down(i int) bool {
	start := i
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1].due < h[c].due {
			c++
		}
		if h[i].due <= h[c].due {
			break
		}
		h.swap(i, c)
		i = c
	}
	return i != start
}
