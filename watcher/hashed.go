package watcher

// hashed is a hash table of node numbers that holds no keys of its own: who asks says what hash and
// which node is meant. With 200,000 directories a map[string]*node is 9 MB, this one 2 MB. Collisions
// go to the next slot, and removing closes the gap. The zero value is empty.
type hashed struct {
	slots []nodeID // a power of two, at most three quarters used
	used  int
}

const minSlots = 16

func (h *hashed) home(hash uint64) int { return int(hash) & (len(h.slots) - 1) }
func (h *hashed) after(i int) int      { return (i + 1) & (len(h.slots) - 1) }

// find returns the first node with that hash which is the one meant, 0 if there is none.
func (h *hashed) find(hash uint64, meant func(nodeID) bool) nodeID {
	if h.used == 0 {
		return 0
	}
	for i := h.home(hash); h.slots[i] != 0; i = h.after(i) {
		if meant(h.slots[i]) {
			return h.slots[i]
		}
	}
	return 0
}

// insert adds a node that is not in the table. hashOf tells the hashes of those that are.
func (h *hashed) insert(hash uint64, id nodeID, hashOf func(nodeID) uint64) {
	if (h.used+1)*4 > len(h.slots)*3 {
		old := h.slots
		h.slots = make([]nodeID, max(minSlots, 2*len(old)))
		for _, o := range old {
			if o != 0 {
				h.put(hashOf(o), o)
			}
		}
	}
	h.put(hash, id)
	h.used++
}

func (h *hashed) put(hash uint64, id nodeID) {
	i := h.home(hash)
	for h.slots[i] != 0 {
		i = h.after(i)
	}
	h.slots[i] = id
}

// remove takes a node out, and moves those up that a gap in its slot would hide.
func (h *hashed) remove(hash uint64, id nodeID, hashOf func(nodeID) uint64) {
	if h.used == 0 {
		return
	}
	gap := h.home(hash)
	for h.slots[gap] != id {
		if h.slots[gap] == 0 {
			return
		}
		gap = h.after(gap)
	}
	for i := h.after(gap); h.slots[i] != 0; i = h.after(i) {
		// One whose home is behind the gap, on the way to where it is, must stay.
		home := h.home(hashOf(h.slots[i]))
		if (i-home)&(len(h.slots)-1) >= (i-gap)&(len(h.slots)-1) {
			h.slots[gap], gap = h.slots[i], i
		}
	}
	h.slots[gap] = 0
	h.used--
}
