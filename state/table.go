package state

import (
	"bytes"
	"slices"

	"go.etcd.io/bbolt"
)

// table is the bucket of records within one transaction. The key of a chunk is its directory, a zero and a
// name that is not after the chunk's first one; names from there to the next key belong to it. So what is directly in a
// directory is contiguous. Each record's directory has a record, too; the root's own is kept elsewhere.
type table struct {
	b     *bbolt.Bucket
	delta int64 // records that came, less those that went
}

// prefixOf is what the keys of a directory's chunks begin with.
func prefixOf(dir string) []byte {
	if dir == "." {
		return []byte{0}
	}
	return append([]byte(dir), 0)
}

// chunk is one as it is in the file.
type chunk struct {
	key  []byte // nil: there is none yet
	recs []byte // without checksum
}

// chunkFor returns the chunk that holds name, or is to hold it, of the directory with that prefix.
func (t *table) chunkFor(prefix, name []byte) (chunk, error) {
	key := slices.Concat(prefix, name)
	c := t.b.Cursor()
	k, v := c.Seek(key)
	if !bytes.Equal(k, key) {
		next, nextValue := k, v
		if k == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
		if !bytes.HasPrefix(k, prefix) {
			k, v = next, nextValue
		}
	}
	if !bytes.HasPrefix(k, prefix) {
		return chunk{}, nil
	}
	recs, err := unseal(k, v)
	return chunk{k, recs}, err
}

func (t *table) get(name string) (record, bool, error) {
	dir, base := splitName(name)
	c, err := t.chunkFor(prefixOf(dir), []byte(base))
	if err != nil || c.key == nil {
		return record{}, false, err
	}
	_, size, r, err := find(c.recs, []byte(base))
	return r, size > 0, err
}

// put makes r the record of name, and makes the directories above known, as ones that differ.
func (t *table) put(name string, r record) error {
	dir, base := splitName(name)
	r.name = []byte(base)
	prefix := prefixOf(dir)
	c, err := t.chunkFor(prefix, r.name)
	if err != nil {
		return err
	}
	if c.key == nil {
		if err := t.putParent(dir); err != nil {
			return err
		}
		t.delta++
		return t.store(nil, slices.Concat(prefix, r.name), appendRecord(make([]byte, sumSize), r))
	}
	at, size, _, err := find(c.recs, r.name)
	if err != nil {
		return err
	}
	if size == 0 {
		t.delta++
	}
	value := make([]byte, sumSize, sumSize+len(c.recs)+len(r.name)+32)
	value = append(value, c.recs[:at]...)
	value = appendRecord(value, r)
	value = append(value, c.recs[at+size:]...)
	key := slices.Clone(c.key)
	if first := slices.Concat(prefix, r.name); bytes.Compare(first, key) < 0 {
		return t.store(key, first, value)
	}
	return t.store(nil, key, value)
}

// putParent makes sure that there is a record of dir, and of those above it.
func (t *table) putParent(dir string) error {
	if dir == "." {
		return nil
	}
	r, ok, err := t.get(dir)
	if ok && r.dir || err != nil {
		return err
	}
	return t.put(dir, record{dir: true})
}

// store writes a chunk, in two parts if it is large. The key it had before, if another, goes.
func (t *table) store(before, key, value []byte) error {
	if before != nil {
		if err := t.b.Delete(before); err != nil {
			return err
		}
	}
	if len(value) > maxChunk {
		cut, err := half(value[sumSize:])
		if err != nil {
			return err
		}
		second := append(make([]byte, sumSize), value[sumSize+cut:]...)
		r, _, err := cutRecord(second[sumSize:])
		if err != nil {
			return err
		}
		prefix := key[:bytes.IndexByte(key, 0)+1]
		secondKey := slices.Concat(prefix, r.name)
		if err := t.b.Put(secondKey, seal(secondKey, second)); err != nil {
			return err
		}
		value = value[:sumSize+cut]
	}
	return t.b.Put(key, seal(key, value))
}

// remove removes the record of name alone.
func (t *table) remove(name string) error {
	dir, base := splitName(name)
	c, err := t.chunkFor(prefixOf(dir), []byte(base))
	if err != nil || c.key == nil {
		return err
	}
	at, size, _, err := find(c.recs, []byte(base))
	if err != nil || size == 0 {
		return err
	}
	t.delta--
	key := slices.Clone(c.key)
	if size == len(c.recs) {
		return t.b.Delete(key)
	}
	value := make([]byte, sumSize, sumSize+len(c.recs)-size)
	value = append(value, c.recs[:at]...)
	return t.store(nil, key, append(value, c.recs[at+size:]...))
}

// removeBelow removes up to limit chunks of what is below name, and reports whether that was all.
func (t *table) removeBelow(name string, limit int) (bool, error) {
	var keys [][]byte
	more, err := t.chunksBelow(name, func(key, recs []byte) (bool, error) {
		n, err := countRecords(recs)
		keys = append(keys, slices.Clone(key))
		t.delta -= n
		return len(keys) < limit, err
	})
	if err != nil {
		return false, err
	}
	for _, key := range keys {
		if err := t.b.Delete(key); err != nil {
			return false, err
		}
	}
	return !more, nil
}

// chunksBelow calls f with each chunk that holds records below name until it says no. It reports whether
// it was stopped.
func (t *table) chunksBelow(name string, f func(key, recs []byte) (bool, error)) (stopped bool, err error) {
	if name == "." {
		return t.chunks(nil, nil, f)
	}
	if stopped, err = t.chunks(prefixOf(name), nil, f); stopped || err != nil {
		return stopped, err
	}
	return t.chunks(append([]byte(name), '/'), nil, f)
}

// chunks calls f with each chunk whose key has the prefix, in order, from the key given or the first.
func (t *table) chunks(prefix, from []byte, f func(key, recs []byte) (bool, error)) (stopped bool, err error) {
	c := t.b.Cursor()
	if from == nil {
		from = prefix
	}
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		recs, err := unseal(k, v)
		if err != nil {
			return false, err
		}
		if more, err := f(k, recs); !more || err != nil {
			return true, err
		}
	}
	return false, nil
}
