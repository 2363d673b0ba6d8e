package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

var literalBytes = regexp.MustCompile(`"?literal_bytes"?[:=] ?(\d+)`)

// literal is how many bytes of data the pushes so far came to.
func (w *watching) literal(t *testing.T) (sum int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range literalBytes.FindAllSubmatch(w.log.Bytes(), -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// settle is wait, and all that was pushed is in the log: a push is told of after it is done.
func (p *twin) settle(t *testing.T) {
	t.Helper()
	p.wait(t, 20*time.Second)
	put(t, filepath.Join(p.src, "mark"), time.Now().String())
	p.wait(t, 20*time.Second)
}

// What moves while it is watched arrives without its data: on a local target as on a daemon.
func TestWatchMoves(t *testing.T) {
	// On a busy machine the renames of a chain come one by one: they are to be one batch.
	p := startPair(t, variant{settle: 100 * time.Millisecond})
	const files, size = 20, 100_000
	for _, d := range []string{"dir/sub", "far/away"} {
		if err := os.MkdirAll(filepath.Join(p.src, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		put(t, filepath.Join(p.src, "dir/sub", strconv.Itoa(i)), string(bytes.Repeat([]byte{byte(i)}, size)))
	}
	p.settle(t)
	for _, w := range p.watches {
		if n := w.literal(t); n < files*size {
			t.Fatalf("%s: %d bytes of data told, %d were sent", w.target, n, files*size)
		}
	}
	for _, moves := range [][]string{
		{"dir", "renamed"},
		{"renamed/sub", "far/away/sub"},
		{"far", "a", "a", "b", "b", "c"},
		{"c/away/sub/0", "renamed/zero", "c/away/sub/1", "one"},
		{"c", "renamed/c"},
	} {
		t.Run(fmt.Sprint(moves), func(t *testing.T) {
			var before []int
			for _, w := range p.watches {
				before = append(before, w.literal(t))
			}
			for i := 0; i < len(moves); i += 2 {
				if err := os.Rename(filepath.Join(p.src, moves[i]), filepath.Join(p.src, moves[i+1])); err != nil {
					t.Fatal(err)
				}
			}
			p.settle(t)
			for i, w := range p.watches {
				if n := w.literal(t) - before[i]; n > files*size/100 {
					t.Errorf("%s: %d bytes of data for a move\n%s", w.target, n, w.tail(20))
				}
			}
		})
	}
}
