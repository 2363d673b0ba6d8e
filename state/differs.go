package state

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Scan says what Differs did.
type Scan struct {
	Entries int64 // looked at in the source
	Differs int64 // paths that were emitted
	Took    time.Duration
}

// Differs compares paths of the source with what the target was last brought to, and emits those that
// differ, are gone or are in doubt; all that is below a tree, too. What is new, or another directory than it was, is one Tree
// path, and so is a directory that cannot be read. A path may be emitted twice. emit is called by one goroutine at a time,
// and may call Begin; its error ends the scan.
//
// A change during the scan may be missed: it is Touch's and the watcher's.
func (s *Store) Differs(ctx context.Context, paths []Path, emit func([]Path) error) (Scan, error) {
	start := time.Now()
	paths, err := distinct(paths)
	if err != nil {
		return Scan{}, err
	}
	root, err := openRoot(s.cfg.Root)
	if err != nil {
		return Scan{}, err
	}
	defer unix.Close(root)
	d := &differ{s: s, root: root, found: make(chan []Path)}
	s.mu.Lock()
	d.doubts = make(map[string]bool, len(s.book.doubts))
	for name, tree := range s.book.doubts {
		d.doubts[name] = tree
	}
	s.mu.Unlock()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(d.found)
		for _, p := range paths {
			if err := d.compare(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	var scan Scan
	for list := range d.found {
		if err != nil {
			continue
		}
		scan.Differs += int64(len(list))
		if err = emit(list); err != nil {
			g.Go(func() error { return err }) // ends the context
		}
	}
	if waited := g.Wait(); err == nil {
		err = waited
	}
	scan.Entries, scan.Took = d.entries, time.Since(start)
	return scan, err
}

// differ is one call of Differs.
type differ struct {
	s       *Store
	root    int
	doubts  map[string]bool // as they were at the start
	found   chan []Path
	entries int64
}

func (d *differ) send(ctx context.Context, list []Path) error {
	if len(list) == 0 {
		return nil
	}
	select {
	case d.found <- list:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// compare compares one path, and what is below it if it is a tree.
func (d *differ) compare(ctx context.Context, p Path) error {
	if !d.s.Known() || d.doubts[p.Name] || coveredAbove(d.doubts, p.Name) {
		return d.send(ctx, []Path{p})
	}
	if err := d.send(ctx, d.doubtsAt(p)); err != nil {
		return err
	}
	differs, down, err := d.entry(p)
	if err != nil {
		return err
	}
	if err := d.send(ctx, differs); err != nil || !down {
		return err
	}
	entries, err := d.s.walk(ctx, d.root, p.Name, func() visitor { return &comparer{d: d} })
	d.entries += entries
	return err
}

// doubtsAt returns what is in doubt of p.
func (d *differ) doubtsAt(p Path) []Path {
	below := make(map[string]bool)
	for name, tree := range d.doubts {
		if p.covers(Path{name, tree}) {
			below[name] = tree
		}
	}
	return sorted(below)
}

// entry compares one name, and reports whether what is below it is to be compared, too.
func (d *differ) entry(p Path) (differs []Path, down bool, err error) {
	look := looker{root: d.root}
	defer look.close()
	now := item{Path: p}
	d.s.sight(&look, &now)
	d.entries++
	var was record
	var ok bool
	err = d.s.view(func(tx *bbolt.Tx) (err error) {
		if p.Name == "." {
			print, err := rootPrint(tx)
			was, ok = record{print: print, dir: true, ino: now.look.ino}, true
			return err
		}
		t := table{b: tx.Bucket(recordBucket)}
		was, ok, err = t.get(p.Name)
		return err
	})
	switch {
	case err != nil:
		return nil, false, err
	case now.unfit:
		return []Path{{p.Name, true}}, false, nil
	case now.gone && ok:
		return []Path{{p.Name, was.dir}}, false, nil
	case now.gone:
		return nil, false, nil
	case !ok || isOther(was, now.look):
		return []Path{{p.Name, was.dir || now.look.dir}}, false, nil
	case !was.print.same(now.look.print):
		differs = []Path{{Name: p.Name}}
	}
	return differs, p.Tree && now.look.dir, nil
}

// isOther reports whether one of them is a directory, and the other not the same one.
func isOther(a, b record) bool { return a.dir != b.dir || a.ino != b.ino }

func rootPrint(tx *bbolt.Tx) (fingerprint, error) {
	b := tx.Bucket(metaBucket)
	if b.Get(rootKey) == nil {
		return unknown, nil
	}
	n, err := getCount(b, rootKey)
	return fingerprint(n), err
}

// comparer compares directories with the records of them. Each worker has one.
type comparer struct {
	d     *differ
	found []Path
}

func (c *comparer) visit(ctx context.Context, dir string, found *listing, down func(name []byte)) error {
	c.found = nil // the last ones are the receiver's
	err := c.d.s.view(func(tx *bbolt.Tx) error {
		t := table{b: tx.Bucket(recordBucket)}
		return c.merge(&t, dir, found, down)
	})
	if err != nil {
		return err
	}
	return c.d.send(ctx, c.found)
}

// merge goes through the records and the entries of a directory side by side.
func (c *comparer) merge(t *table, dir string, found *listing, down func(name []byte)) error {
	items := found.items
	_, err := t.chunks(prefixOf(dir), nil, func(_, recs []byte) (bool, error) {
		for len(recs) > 0 {
			var was record
			var err error
			if was, recs, err = cutRecord(recs); err != nil {
				return false, err
			}
			for len(items) > 0 && bytes.Compare(found.name(&items[0]), was.name) < 0 {
				c.add(dir, found.name(&items[0]), items[0].dir)
				items = items[1:]
			}
			if len(items) == 0 || !bytes.Equal(found.name(&items[0]), was.name) {
				c.add(dir, was.name, was.dir)
				continue
			}
			if err := c.both(t, dir, was, found.record(&items[0]), items[0].foreign, down); err != nil {
				return false, err
			}
			items = items[1:]
		}
		return true, nil
	})
	for i := range items {
		c.add(dir, found.name(&items[i]), items[i].dir)
	}
	return err
}

// both compares what was and what is.
func (c *comparer) both(t *table, dir string, was, now record, foreign bool, down func(name []byte)) error {
	if isOther(was, now) {
		c.add(dir, now.name, true)
		return nil
	}
	if !was.print.same(now.print) {
		c.add(dir, now.name, false)
	}
	if !now.dir {
		return nil
	}
	if foreign {
		below, err := t.chunksBelow(joinName(dir, string(now.name)), func([]byte, []byte) (bool, error) { return false, nil })
		if below {
			c.add(dir, now.name, true)
		}
		return err
	}
	if len(c.d.doubts) == 0 || !c.d.doubts[joinName(dir, string(now.name))] {
		down(now.name)
	}
	return nil
}

func (c *comparer) add(dir string, name []byte, tree bool) {
	c.found = append(c.found, Path{joinName(dir, string(name)), tree})
}

func (c *comparer) unread(ctx context.Context, dir string) error {
	return c.d.send(ctx, []Path{{dir, true}})
}

func (c *comparer) end(context.Context) error { return nil }
