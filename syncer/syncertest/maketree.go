package syncertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// DefaultFanout is how many directories a directory of MakeTree holds: 5,000 are three levels deep.
const DefaultFanout = 20

// TreeSpec describes a tree. Two trees of one spec are equal byte for byte; with ModTime in every
// respect that MakeTree controls.
type TreeSpec struct {
	Files   int
	Dirs    int   // below the root; the files are dealt out to them in turn, or to the root if 0
	Fanout  int   // 0 means DefaultFanout
	MinSize int64 // of a file, in bytes
	MaxSize int64 // 0 means MinSize
	Text    bool  // words that compress about 4:1, instead of noise that does not compress at all
	Seed    uint64
	ModTime time.Time // of all files and directories; zero leaves what the writing gave
}

// TreeStats is what MakeTree has written.
type TreeStats struct {
	Files, Dirs int
	Bytes       int64
}

// MakeTree writes a tree into dir, which is made if it is not there, and returns what it wrote.
func MakeTree(dir string, spec TreeSpec) (TreeStats, error) {
	if err := spec.validate(); err != nil {
		return TreeStats{}, fmt.Errorf("make tree %q: %w", dir, err)
	}
	stats, err := spec.make(dir)
	if err != nil {
		return stats, fmt.Errorf("make tree %q: %w", dir, err)
	}
	return stats, nil
}

func (s TreeSpec) validate() error {
	var errs []error
	if s.Files < 0 || s.Dirs < 0 || s.Fanout < 0 {
		errs = append(errs, fmt.Errorf("negative count: %d files, %d directories, fanout %d", s.Files, s.Dirs, s.Fanout))
	}
	if s.MinSize < 0 || s.MaxSize != 0 && s.MaxSize < s.MinSize {
		errs = append(errs, fmt.Errorf("no size between %d and %d", s.MinSize, s.MaxSize))
	}
	return errors.Join(errs...)
}

func (s TreeSpec) make(dir string) (TreeStats, error) {
	var stats TreeStats
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return stats, err
	}
	for i := range s.Dirs {
		if err := os.Mkdir(filepath.Join(dir, s.Dir(i)), 0o755); err != nil {
			return stats, err
		}
		stats.Dirs++
	}
	for i := range s.Files {
		n, err := s.writeFile(filepath.Join(dir, s.File(i)), i)
		stats.Bytes += n
		if err != nil {
			return stats, err
		}
		stats.Files++
	}
	// Directories last, and children before parents, for what is made in one changes its time.
	for i := range s.Dirs {
		if err := s.setTime(filepath.Join(dir, s.Dir(s.Dirs-1-i))); err != nil {
			return stats, err
		}
	}
	return stats, s.setTime(dir)
}

func (s TreeSpec) writeFile(name string, i int) (n int64, err error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, err
	}
	n, err = s.WriteContent(file, i)
	if err := errors.Join(err, file.Close()); err != nil {
		return n, fmt.Errorf("write %q: %w", name, err)
	}
	return n, s.setTime(name)
}

func (s TreeSpec) setTime(name string) error {
	if s.ModTime.IsZero() {
		return nil
	}
	return os.Chtimes(name, s.ModTime, s.ModTime)
}

// Dir is the path of directory i, relative to the tree.
func (s TreeSpec) Dir(i int) string {
	fanout := s.Fanout
	if fanout <= 0 {
		fanout = DefaultFanout
	}
	name := fmt.Sprintf("d%05d", i)
	// Directory i is child i%fanout of its parent; the first ones are in the root.
	if i < fanout {
		return name
	}
	return path.Join(s.Dir(i/fanout-1), name)
}

// File is the path of file i, relative to the tree.
func (s TreeSpec) File(i int) string {
	name := fmt.Sprintf("f%07d", i)
	if s.Text {
		name += ".txt"
	}
	if s.Dirs <= 0 {
		return name
	}
	return path.Join(s.Dir(i%s.Dirs), name)
}

// WriteContent writes the bytes of file i.
func (s TreeSpec) WriteContent(w io.Writer, i int) (int64, error) {
	rng := rand.New(rand.NewPCG(s.Seed, uint64(i)))
	left := s.MinSize
	if s.MaxSize > s.MinSize {
		left += rng.Int64N(s.MaxSize - s.MinSize + 1)
	}
	fill := fillNoise
	if s.Text {
		fill = fillText
	}
	block := make([]byte, min(left, 64<<10))
	var written int64
	for left > 0 {
		block = block[:min(left, int64(len(block)))]
		fill(block, rng)
		n, err := w.Write(block)
		written += int64(n)
		left -= int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// fillNoise fills with bytes that no compressor makes fewer.
func fillNoise(buf []byte, rng *rand.Rand) {
	for len(buf) >= 8 {
		binary.LittleEndian.PutUint64(buf, rng.Uint64())
		buf = buf[8:]
	}
	word := rng.Uint64()
	for i := range buf {
		buf[i] = byte(word >> (8 * i))
	}
}

const vocabulary = `the of a watch tree file block sum list name path change push batch root target
sender receiver generator token literal match basis index checksum rolling strong seed remainder
directory rename delete event overflow queue settle delay kernel descriptor limit retry error`

// fillText fills with words in lines; the last word may be cut.
func fillText(buf []byte, rng *rand.Rand) {
	words := strings.Fields(vocabulary)
	for len(buf) > 0 {
		n := copy(buf, words[rng.IntN(len(words))])
		buf = buf[n:]
		if len(buf) == 0 {
			return
		}
		buf[0] = ' '
		if rng.IntN(12) == 0 {
			buf[0] = '\n'
		}
		buf = buf[1:]
	}
}
