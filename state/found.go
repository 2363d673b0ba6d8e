package state

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// maxFound is how many names of a directory are put in doubt one by one. Where there are more, the directory is, as a tree.
const maxFound = 4096

// Found is called before a push sends names in dir that it saw there, asked for or not; Tree marks those of directories.
// What the index does not know is in doubt from then on, in the file, too, and is returned: whatever a push lists that
// Begin did not see, or was not told of, is named by Differs when it is gone.
//
// Several goroutines may call it. With an error the names are in doubt, and in the file as soon as that can be written; with
// ErrRebuilt nothing is known anyway.
func (s *Store) Found(dir string, names []Path) ([]Path, error) {
	if err := checkName(dir); err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(slices.Clone(names), func(p Path) bool {
		return len(p.Name) > maxName || checkName(p.Name) != nil // the directory above is in doubt, for ever
	})
	slices.SortFunc(names, func(p, q Path) int { return strings.Compare(p.Name, q.Name) })
	s.write.Lock() // nothing is settled meanwhile
	defer s.write.Unlock()
	b := s.current()
	s.mu.Lock()
	look := b.looksInto(dir)
	s.mu.Unlock()
	if !look {
		return nil, nil
	}
	lacks, err := s.lacks(dir, names)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	news := b.unknown(names, lacks)
	s.mu.Unlock()
	news = slices.DeleteFunc(news, func(p Path) bool { return s.excluded(p.Name, p.Tree) })
	if len(news) == 0 || s.isLink(dir) {
		return nil, nil
	}
	for i := range news {
		news[i].Tree = false // what is below it is sent by its own listing
	}
	if len(news) > maxFound {
		news = []Path{{dir, true}}
	}
	s.mu.Lock()
	for _, p := range news {
		b.touch(p)
	}
	s.mu.Unlock()
	return news, s.doubt(b, news)
}

// lacks returns those of the sorted names in dir that have no record, by their place among them.
func (s *Store) lacks(dir string, names []Path) (lacks map[int]bool, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		lacks = map[int]bool{}
		t := table{b: tx.Bucket(recordBucket)}
		prefix := prefixOf(dir)
		var recs []byte // of the chunk that was looked into last, from the last name on
		for i, p := range names {
			_, base := splitName(p.Name)
			has, rest, err := seek(recs, base)
			if err == nil && !has && len(rest) == 0 { // it is in a later chunk, if in any
				var c chunk
				if c, err = t.chunkFor(prefix, []byte(base)); err == nil {
					has, rest, err = seek(c.recs, base)
				}
			}
			if err != nil {
				return err
			}
			recs = rest
			if !has && p.Name != "." {
				lacks[i] = true
			}
		}
		return nil
	})
	return lacks, err
}

// seek cuts off the records before name and its own, and says whether there is one.
func seek(recs []byte, name string) (has bool, rest []byte, err error) {
	for len(recs) > 0 {
		r, next, err := cutRecord(recs)
		if err != nil {
			return false, nil, err
		}
		switch c := bytes.Compare(r.name, []byte(name)); {
		case c == 0:
			return true, next, nil
		case c > 0:
			return false, recs, nil
		}
		recs = next
	}
	return false, nil, nil
}

// isLink reports whether dir leads through a symbolic link, which a push may follow: what is there is not of this tree.
func (s *Store) isLink(dir string) bool {
	root, err := openRoot(s.cfg.Root)
	if err != nil {
		return false
	}
	defer unix.Close(root)
	l := looker{root: root}
	defer l.close()
	err = l.look(dir)
	return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || err == nil && l.st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// looksInto reports whether names in dir may be sent that would not be in doubt afterwards. What was looked at and had
// nothing below it is dropped.
func (b *book) looksInto(dir string) bool {
	into := false
	above(dir, func(name string) bool {
		for _, tree := range []bool{false, true} {
			it := b.items[Path{name, tree}]
			switch {
			case it == nil || !it.looked:
			case it.replaces():
				b.drop(it)
			case tree && !coveredBy(it.excepted, dir):
				into = true
			}
		}
		return true
	})
	return into || !coveredBy(b.doubts, dir) && !coveredBy(b.missing, dir)
}

// unknown returns those of names that are not known: they have no record, or were gone when the push was begun.
func (b *book) unknown(names []Path, lacks map[int]bool) (list []Path) {
	for i, p := range names {
		if b.wasGone(p.Name) || lacks[i] && !b.accounts(p.Name) {
			list = append(list, p)
		}
	}
	return list
}

// wasGone reports whether name is to be settled as gone.
func (b *book) wasGone(name string) bool {
	for _, tree := range []bool{false, true} {
		if it := b.items[Path{name, tree}]; it != nil && it.looked && it.gone {
			return true
		}
	}
	return false
}

// accounts reports whether name will be in doubt, or have a record, once all that is being pushed is settled.
func (b *book) accounts(name string) bool {
	inTree := false
	above(name, func(dir string) bool {
		it := b.items[Path{dir, true}]
		inTree = inTree || it != nil && it.looked && !it.replaces()
		return !inTree
	})
	_, missing := b.missing[name]
	return !inTree && (missing || b.doubted(Path{Name: name}))
}
