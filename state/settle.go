package state

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// How much one transaction takes at most: so much memory, and so long Begin has to wait for it.
const (
	maxSettled = 4096 // items
	maxRemoved = 512  // chunks of records
)

// settler settles what has been quiet, until ctx ends: at most once in s.cfg.Quiet, so that a stream of pushes
// costs no stream of commits.
func (s *Store) settler(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	armed := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
			armed = false
			s.write.Lock()
			_ = s.settle(s.current(), time.Now()) // see Err
			s.write.Unlock()
		}
		if armed {
			continue
		}
		s.mu.Lock()
		next, ok := s.book.next()
		s.mu.Unlock()
		if ok {
			timer.Reset(max(time.Until(next), s.cfg.Quiet))
			armed = true
		}
	}
}

// rouse tells the settler that there is something to be settled.
func (s *Store) rouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// settle commits all that is ready. The caller holds s.write.
func (s *Store) settle(b *book, now time.Time) error {
	for {
		set := s.ready(b, now, nil)
		var err error
		if len(set.items) > 0 || len(set.doubt) > 0 {
			err = s.commit(b, set, nil)
		}
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		if err != nil || len(set.items) < maxSettled {
			return err
		}
	}
}

func (s *Store) ready(b *book, now time.Time, skip func(*item) bool) settlement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.settle(now, maxSettled, skip)
}

// commit makes the file what set says, and puts more into doubt. The caller holds s.write.
func (s *Store) commit(b *book, set settlement, more []Path) error {
	for _, it := range set.items {
		if it.replaces() {
			if err := s.removeBelow(b, it.Name, maxRemoved/2); err != nil {
				return err
			}
		}
	}
	for _, p := range more {
		set.doubt[p.Name] = set.doubt[p.Name] || p.Tree
	}
	var total int64
	err := s.update(b, func(tx *bbolt.Tx) (err error) {
		t := table{b: tx.Bucket(recordBucket)}
		for _, it := range set.items {
			if err := t.settle(tx, it); err != nil {
				return err
			}
		}
		if total, err = t.count(tx); err != nil {
			return err
		}
		if set.known {
			if err := tx.Bucket(metaBucket).Put(knownKey, []byte{1}); err != nil {
				return err
			}
		}
		return putDoubts(tx, set.certain, set.doubt)
	})
	if err != nil {
		return err
	}
	s.total.Store(total)
	if set.known {
		s.known.Store(true)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.settled(set)
	return nil
}

// replaces reports whether nothing is below it, whatever was.
func (it *item) replaces() bool { return it.gone || !it.look.dir }

// settle writes what an item was looked at to be.
func (t *table) settle(tx *bbolt.Tx, it *item) error {
	if it.Name == "." {
		return putCount(tx.Bucket(metaBucket), rootKey, int64(it.look.print))
	}
	if it.replaces() {
		if _, err := t.removeBelow(it.Name, 2*maxRemoved); err != nil {
			return err
		}
	}
	if it.gone {
		return t.remove(it.Name)
	}
	return t.put(it.Name, it.look)
}

// count writes and returns the number of records.
func (t *table) count(tx *bbolt.Tx) (int64, error) {
	meta := tx.Bucket(metaBucket)
	total, err := getCount(meta, totalKey)
	if err != nil || t.delta == 0 {
		return total, err
	}
	return total + t.delta, putCount(meta, totalKey, total+t.delta)
}

func putDoubts(tx *bbolt.Tx, remove []string, put map[string]bool) error {
	b := tx.Bucket(doubtBucket)
	var delta int64
	for _, name := range remove {
		if b.Get([]byte(name)) != nil {
			delta--
		}
		if err := b.Delete([]byte(name)); err != nil {
			return err
		}
	}
	for name, tree := range put {
		key := []byte(name)
		if b.Get(key) == nil {
			delta++
		}
		if err := b.Put(key, doubtValue(key, tree)); err != nil {
			return err
		}
	}
	if delta == 0 {
		return nil
	}
	meta := tx.Bucket(metaBucket)
	n, err := getCount(meta, doubtsKey)
	return errors.Join(err, putCount(meta, doubtsKey, n+delta))
}

// removeBelow removes records below name in transactions of their own until few are left, less than limit
// chunks. What is below is in doubt meanwhile.
func (s *Store) removeBelow(b *book, name string, limit int) error {
	for {
		few := true
		err := s.view(func(tx *bbolt.Tx) error {
			t, n := table{b: tx.Bucket(recordBucket)}, 0
			many, err := t.chunksBelow(name, func([]byte, []byte) (bool, error) {
				n++
				return n <= limit, nil
			})
			few = !many
			return err
		})
		if few || err != nil {
			return err
		}
		var total int64
		err = s.update(b, func(tx *bbolt.Tx) error {
			t := table{b: tx.Bucket(recordBucket)}
			_, err := t.removeBelow(name, maxRemoved)
			if err != nil {
				return err
			}
			total, err = t.count(tx)
			return err
		})
		if err != nil {
			return err
		}
		s.total.Store(total)
	}
}
