package state

import (
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Forget makes Known false: what the target was brought to is no longer what it is to be, or it is another
// one. Values stay, and so do doubts.
func (s *Store) Forget() error {
	s.write.Lock()
	defer s.write.Unlock()
	err := s.update(s.current(), func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(knownKey) })
	if err == nil {
		s.known.Store(false)
	}
	return err
}

// Dir is the directory of the pair in the state directory.
func (s *Store) Dir() string { return filepath.Dir(s.file.path) }
