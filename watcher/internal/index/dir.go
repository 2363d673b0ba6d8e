package index

import (
	"sort"
	"unsafe"
)

// dir is a directory of the tree.
type dir struct {
	id      identity
	changed bool // the next Compare reports all of it
	chunks  []chunk
}

// chunk is a run of a directory's records, never empty, and the directories among them in order.
type chunk struct {
	recs records
	subs []*dir
}

// maxChunk is the most bytes of records in a chunk (but for one of a very long name): what an update
// of one entry has to copy. 4096 is a size class of Go's allocator.
const maxChunk = 4096

// size is the memory of d itself, without what is below.
func (d *dir) size() int {
	n := int(unsafe.Sizeof(*d)) + cap(d.chunks)*int(unsafe.Sizeof(chunk{}))
	for i := range d.chunks {
		n += d.chunks[i].size()
	}
	return n
}

func (c *chunk) size() int {
	return cap(c.recs) + cap(c.subs)*int(unsafe.Sizeof((*dir)(nil)))
}

// chunkOf returns the index of the chunk in which name is or would be.
func (d *dir) chunkOf(name string) int {
	i := sort.Search(len(d.chunks), func(i int) bool { return string(d.chunks[i].recs.at(0).name) > name })
	return max(i-1, 0)
}

// lookup returns the chunk that holds name, and at which offset; nil if there is none.
func (d *dir) lookup(name string) (*chunk, int) {
	if len(d.chunks) == 0 {
		return nil, 0
	}
	c := &d.chunks[d.chunkOf(name)]
	for off := 0; off < len(c.recs); {
		r := c.recs.at(off)
		if string(r.name) == name {
			return c, off
		}
		off += r.size
	}
	return nil, 0
}

// sub returns the directory of the record at an offset, nil if the record is of something else.
func (c *chunk) sub(off int) *dir {
	if c.recs.at(off).kind != directory {
		return nil
	}
	n := 0
	for o := 0; o < off; {
		r := c.recs.at(o)
		if r.kind == directory {
			n++
		}
		o += r.size
	}
	return c.subs[n]
}

func (d *dir) child(name string) *dir {
	c, at := d.lookup(name)
	if c == nil {
		return nil
	}
	return c.sub(at)
}

// cursor goes through the directories in a directory. The directory's chunks must not be replaced
// meanwhile.
type cursor struct {
	d               *dir
	chunk, off, sub int
}

// next returns the next directory and its name; nil at the end.
func (c *cursor) next() (string, *dir) {
	for ; c.chunk < len(c.d.chunks); c.chunk, c.off, c.sub = c.chunk+1, 0, 0 {
		ch := &c.d.chunks[c.chunk]
		for c.sub < len(ch.subs) {
			r := ch.recs.at(c.off)
			c.off += r.size
			if r.kind == directory {
				c.sub++
				return string(r.name), ch.subs[c.sub-1]
			}
		}
	}
	return "", nil
}

// more reports whether next has something to return.
func (c *cursor) more() bool {
	for i, sub := c.chunk, c.sub; i < len(c.d.chunks); i, sub = i+1, 0 {
		if sub < len(c.d.chunks[i].subs) {
			return true
		}
	}
	return false
}
