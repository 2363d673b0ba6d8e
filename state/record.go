package state

import (
	"context"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
)

// How much of a tree is gathered for one transaction, and handed over at once, in bytes.
const (
	maxBatch = 2 << 20
	maxPart  = 128 << 10
)

// part is some chunks on their way to the file.
type part struct {
	chunks  []keyValue
	bytes   int
	records int64
}

type keyValue struct {
	key   string
	value []byte
}

// record puts what is below a tree that is in doubt into the file in the place of what was there. It means
// something once the tree is not in doubt any more. It returns the directories that it could not read.
func (s *Store) record(ctx context.Context, b *book, root int, it *item) (map[string]bool, error) {
	if err := s.removeBelow(b, it.Name, 0); err != nil {
		return nil, err
	}
	err := s.change(b, func(t *table) error { return t.putParent(it.Name) })
	if err != nil {
		return nil, err
	}
	parts := make(chan part)
	missed := missed{dirs: make(map[string]bool)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(parts)
		_, err := s.walk(ctx, root, it.Name, func() visitor { return &recorder{parts: parts, missed: &missed} })
		return err
	})
	g.Go(func() error { return s.takeParts(b, parts) })
	return missed.dirs, g.Wait()
}

// change changes the records.
func (s *Store) change(b *book, do func(t *table) error) error {
	var total int64
	err := s.update(b, func(tx *bbolt.Tx) (err error) {
		t := table{b: tx.Bucket(recordBucket)}
		if err := do(&t); err != nil {
			return err
		}
		total, err = t.count(tx)
		return err
	})
	if err == nil {
		s.total.Store(total)
	}
	return err
}

// takeParts writes what comes, in batches, until parts is closed.
func (s *Store) takeParts(b *book, parts <-chan part) error {
	var batch part
	for p := range parts {
		batch.chunks = append(batch.chunks, p.chunks...)
		batch.bytes += p.bytes
		batch.records += p.records
		if batch.bytes < maxBatch {
			continue
		}
		if err := s.writeBatch(b, batch); err != nil {
			return err
		}
		batch = part{}
	}
	return s.writeBatch(b, batch)
}

func (s *Store) writeBatch(b *book, batch part) error {
	if len(batch.chunks) == 0 {
		return nil
	}
	slices.SortFunc(batch.chunks, func(a, b keyValue) int { return strings.Compare(a.key, b.key) })
	return s.change(b, func(t *table) error {
		t.b.FillPercent = 0.9 // little is ever put between them
		for _, c := range batch.chunks {
			if err := t.b.Put([]byte(c.key), c.value); err != nil {
				return err
			}
		}
		t.delta += batch.records
		return nil
	})
}

// missed are directories that could not be read.
type missed struct {
	mu   sync.Mutex // guards dirs
	dirs map[string]bool
}

// recorder makes records of what is in directories.
type recorder struct {
	parts  chan<- part
	part   part
	missed *missed
}

func (r *recorder) visit(ctx context.Context, dir string, found *listing, down func(name []byte)) error {
	prefix := prefixOf(dir)
	var key, value []byte
	for i := range found.items {
		e := &found.items[i]
		name := found.name(e)
		if e.dir && !e.foreign {
			down(name)
		}
		if value == nil {
			key = slices.Concat(prefix, name)
			value = make([]byte, sumSize, sumSize+min(maxChunk, 32*len(found.items)))
		}
		value = appendRecord(value, found.record(e))
		r.part.records++
		if len(value) < maxChunk*3/4 && i < len(found.items)-1 { // room for some more
			continue
		}
		r.part.chunks = append(r.part.chunks, keyValue{string(key), seal(key, value)})
		r.part.bytes += len(key) + len(value)
		value = nil
		if r.part.bytes < maxPart {
			continue
		}
		if err := r.end(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *recorder) unread(_ context.Context, dir string) error {
	r.missed.mu.Lock()
	defer r.missed.mu.Unlock()
	r.missed.dirs[dir] = true
	return nil
}

func (r *recorder) end(ctx context.Context) error {
	select {
	case r.parts <- r.part:
		r.part = part{}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
