package state

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"
)

// Get reads what Put kept under key into v, a pointer as for json.Unmarshal, and reports whether there was
// something. A value that does not fit v is an error.
func (s *Store) Get(key string, v any) (bool, error) {
	var text []byte
	err := s.view(func(tx *bbolt.Tx) error {
		text = append([]byte(nil), tx.Bucket(valueBucket).Get([]byte(key))...)
		return nil
	})
	if err != nil || len(text) == 0 {
		return false, err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return false, fmt.Errorf("state value %q: %w", key, err)
	}
	return true, nil
}

// Put keeps v, as JSON, under a key of 1 to 1000 bytes; nil removes what is there. It is durable on return, and lost only
// with a file that is made anew.
func (s *Store) Put(key string, v any) error {
	if key == "" || len(key) > 1000 {
		return fmt.Errorf("state value: a key of %d bytes", len(key))
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("state value %q: %w", key, err)
	}
	return s.update(s.current(), func(tx *bbolt.Tx) error {
		if v == nil {
			return tx.Bucket(valueBucket).Delete([]byte(key))
		}
		return tx.Bucket(valueBucket).Put([]byte(key), text)
	})
}
