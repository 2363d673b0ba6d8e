package state

import (
	"bytes"
	"slices"

	"go.etcd.io/bbolt"
)

// Count returns how many names the index has at and below name; of the root, only below. What is in doubt as a tree counts
// as it was last looked at.
func (s *Store) Count(name string) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	if name == "." {
		return s.Total(), nil
	}
	var n int64
	err := s.view(func(tx *bbolt.Tx) error {
		t := table{b: tx.Bucket(recordBucket)}
		if _, ok, err := t.get(name); err != nil {
			return err
		} else if ok {
			n++
		}
		_, err := t.chunksBelow(name, func(_, recs []byte) (bool, error) {
			more, err := countRecords(recs)
			n += more
			return true, err
		})
		return err
	})
	return n, err
}

// DirEntries is a directory and how many names the index has directly in it.
type DirEntries struct {
	Dir     string
	Entries int64
	// Empty are the names of directories in it that the index has nothing of.
	Empty []string
}

// maxDirs is how many directories Dirs reads at a time.
const maxDirs = 256

// Dirs calls yield with the directories that the index has entries of, in an order that stays the same, beginning after
// the directory given, or with the first if it is empty. It ends when yield says no. No transaction is open
// meanwhile, so that yield may take its time and call any method.
func (s *Store) Dirs(after string, yield func(DirEntries) bool) error {
	var from []byte
	if after != "" {
		from = append(bytes.TrimSuffix(prefixOf(after), []byte{0}), 1)
	}
	for {
		list, err := s.dirs(from)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, d := range list {
			if !yield(d) {
				return nil
			}
		}
		from = append(bytes.TrimSuffix(prefixOf(list[len(list)-1].Dir), []byte{0}), 1)
	}
}

// dirs returns some directories whose keys are not before from.
func (s *Store) dirs(from []byte) (list []DirEntries, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		list = nil
		t := table{b: tx.Bucket(recordBucket)}
		var last []byte
		_, err := t.chunks(nil, from, func(key, recs []byte) (bool, error) {
			prefix := key[:bytes.IndexByte(key, 0)+1]
			if !bytes.Equal(prefix, last) {
				if len(list) == maxDirs {
					return false, nil
				}
				last = slices.Clone(prefix)
				list = append(list, DirEntries{Dir: dirOf(prefix)})
			}
			d := &list[len(list)-1]
			for len(recs) > 0 {
				r, rest, err := cutRecord(recs)
				if err != nil {
					return false, err
				}
				d.Entries++
				if r.dir && !t.has(joinName(d.Dir, string(r.name))) {
					d.Empty = append(d.Empty, string(r.name))
				}
				recs = rest
			}
			return true, nil
		})
		return err
	})
	return list, err
}

// has reports whether there are records of names in dir.
func (t *table) has(dir string) bool {
	prefix := prefixOf(dir)
	k, _ := t.b.Cursor().Seek(prefix)
	return bytes.HasPrefix(k, prefix)
}

// dirOf is the directory whose keys begin with prefix.
func dirOf(prefix []byte) string {
	if len(prefix) <= 1 {
		return "."
	}
	return string(prefix[:len(prefix)-1])
}

// Names returns the names that the index has directly in dir, and which of them are of directories.
func (s *Store) Names(dir string) (names []string, isDir []bool, err error) {
	if err := checkName(dir); err != nil {
		return nil, nil, err
	}
	err = s.view(func(tx *bbolt.Tx) error {
		names, isDir = nil, nil
		t := table{b: tx.Bucket(recordBucket)}
		_, err := t.chunks(prefixOf(dir), nil, func(_, recs []byte) (bool, error) {
			for len(recs) > 0 {
				r, rest, err := cutRecord(recs)
				if err != nil {
					return false, err
				}
				names, isDir, recs = append(names, string(r.name)), append(isDir, r.dir), rest
			}
			return true, nil
		})
		return err
	})
	return names, isDir, err
}

// Doubted says that the target is not known to have what the index has at name: that, or a tree that it is in, is in doubt.
func (s *Store) Doubted(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Path{Name: name}
	return s.book.doubted(p) || s.book.missing[name] || coveredAbove(s.book.missing, name)
}
