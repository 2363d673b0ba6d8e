package api

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Held is a deletion that waits for an operator: --max-delete stands against it.
type Held struct {
	Path string
	// Names is how many names would go, Path and all below. 0: Path is a directory that is there, and the
	// target has more below it than the source, nobody knows how much.
	Names int64
	Since time.Time
}

// heldJSON is how it is written down. A name need not be UTF-8, which JSON's strings are.
type heldJSON struct {
	Path  string    `json:"path,omitempty"`
	Bytes []byte    `json:"path_bytes,omitempty"`
	Names int64     `json:"names"`
	Since time.Time `json:"since"`
}

// MarshalJSON implements json.Marshaler: "path" holds the name, or where it is not UTF-8 "path_bytes" in base64.
func (h Held) MarshalJSON() ([]byte, error) {
	j := heldJSON{Names: h.Names, Since: h.Since}
	if utf8.ValidString(h.Path) {
		j.Path = h.Path
	} else {
		j.Bytes = []byte(h.Path)
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Held) UnmarshalJSON(b []byte) error {
	var j heldJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Bytes != nil {
		j.Path = string(j.Bytes)
	}
	*h = Held{Path: j.Path, Names: j.Names, Since: j.Since}
	return nil
}
