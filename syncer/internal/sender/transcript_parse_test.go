package sender_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// clientSide is what a client says, taken apart.
type clientSide struct {
	lines    []string
	args     []string
	offer    string
	data     []byte
	messages []string
}

// list cuts the file list off the data: its entries, and what follows it.
func (c *clientSide) list(t *testing.T, f flist.Format) ([]flist.Entry, []byte) {
	t.Helper()
	if len(c.data) == 0 {
		return nil, nil
	}
	data := bytes.NewReader(c.data)
	r := wire.NewReader(data)
	if slices.ContainsFunc(c.args, func(a string) bool { return strings.HasPrefix(a, "--delete") && !strings.Contains(a, "missing") }) {
		for n := r.Int32(); n > 0; n = r.Int32() {
			r.String(int(n))
		}
	}
	entries, err := decode(r, f)
	if err != nil {
		t.Fatalf("decode the list: %v", err)
	}
	rest := make([]byte, data.Len())
	io.ReadFull(data, rest)
	return entries, rest
}

// decode reads a list, or all the lists of incremental recursion, which the client sends before its
// first answer.
func decode(r *wire.Reader, f flist.Format) ([]flist.Entry, error) {
	if !f.Inline {
		entries, _, err := flist.Decode(r, f, 1000, true)
		return entries, err
	}
	d := flist.NewDecoder(r, f)
	var all []flist.Entry
	for start := int32(1); ; {
		entries, _, err := d.List(start, 1000)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
		start += int32(len(entries)) + 1
		if r.Index() == wire.IndexListEnd || r.Err() != nil {
			return all, r.Err()
		}
	}
}

func withoutCaps(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		for _, caps := range []string{"e.LsfxCIvu", "e.iLsfxCIvu"} {
			if short, _, found := strings.Cut(a, caps); found {
				args[i] = short
			}
		}
	}
	return args
}

// parseClient takes a client's bytes apart.
func parseClient(t *testing.T, b []byte) clientSide {
	t.Helper()
	var c clientSide
	for _, s := range clientSegments(b) {
		switch {
		case s.kind == "line":
			c.lines = append(c.lines, string(s.data))
		case s.kind == "arguments":
			c.args = strings.Split(strings.TrimSuffix(string(s.data), "\x00\x00"), "\x00")
		case s.kind == "checksums":
			c.offer = string(s.data)
		case s.tag == wire.TagData:
			c.data = append(c.data, s.data[4:]...)
		default:
			c.messages = append(c.messages, fmt.Sprintf("%d %x", s.tag, s.data[4:]))
		}
	}
	return c
}

// segment is one piece of a conversation that has a name.
type segment struct {
	up    bool // from the client
	order int  // of the chunk it ended in
	kind  string
	tag   wire.Tag
	data  []byte
}

func clientSegments(b []byte) []segment {
	var all []segment
	cut := func(kind string, n int) {
		n = min(max(n, 0), len(b))
		if n > 0 {
			all = append(all, segment{up: true, kind: kind, data: b[:n]})
			b = b[n:]
		}
	}
	for !bytes.HasPrefix(b, []byte("--server")) && len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			return append(all, segment{up: true, kind: "rest", data: b})
		}
		cut("line", n)
	}
	cut("arguments", bytes.Index(b, []byte{0, 0})+2)
	if len(b) > 0 {
		cut("checksums", 1+int(b[0]))
	}
	return append(all, frames(b, true)...)
}

func serverSegments(b []byte) []segment {
	var all []segment
	cut := func(kind string, n int) {
		n = min(max(n, 0), len(b))
		if n > 0 {
			all = append(all, segment{kind: kind, data: b[:n]})
			b = b[n:]
		}
	}
	for ok := false; !ok && len(b) > 0; {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			return append(all, segment{kind: "rest", data: b})
		}
		ok = string(b[:n]) == "@RSYNCD: OK\n"
		cut("line", n)
	}
	cut("compatibility flags", 2)
	if len(b) > 0 {
		cut("checksums", 1+int(b[0]))
	}
	cut("seed", 4)
	return append(all, frames(b, false)...)
}

func frames(b []byte, up bool) []segment {
	var all []segment
	for len(b) >= 4 {
		n := min(4+int(b[0])+int(b[1])<<8+int(b[2])<<16, len(b))
		tag := wire.Tag(b[3] - 7)
		kind := "message"
		if tag == wire.TagData {
			kind = "data"
		}
		all = append(all, segment{up: up, kind: kind, tag: tag, data: b[:n]})
		b = b[n:]
	}
	if len(b) > 0 {
		all = append(all, segment{up: up, kind: "rest", data: b})
	}
	return all
}

// segments takes a recorded conversation apart and puts the pieces of both sides into the order
// in which they were complete.
func segments(chunks []chunk) []segment {
	var all []segment
	for _, up := range []bool{true, false} {
		var b []byte
		var ends []int // by chunk: the length of the stream when it had come
		for _, c := range chunks {
			if c.up == up {
				b = append(b, c.data...)
			}
			ends = append(ends, len(b))
		}
		list := serverSegments(b)
		if up {
			list = clientSegments(b)
		}
		at := 0
		for _, s := range list {
			at += len(s.data)
			s.order, _ = slices.BinarySearch(ends, at)
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b segment) int { return a.order - b.order })
	return all
}

// print writes a segment as hex with the text beside it.
func (s segment) print(w io.Writer) {
	mark, title := "S>", s.kind
	if s.up {
		mark = "C>"
	}
	if s.kind == "message" {
		title = fmt.Sprintf("message, tag %d", s.tag)
	}
	fmt.Fprintf(w, "\n# %s, %d bytes\n", title, len(s.data))
	for part := range slices.Chunk(s.data, 16) {
		text := strings.Map(func(r rune) rune {
			if r < 0x20 || r > 0x7E {
				return '.'
			}
			return r
		}, latin1(part))
		fmt.Fprintf(w, "%s %-47s |%s|\n", mark, strings.TrimSpace(fmt.Sprintf("% x", part)), text)
	}
}

func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

var hexLine = regexp.MustCompile(`^([CS])> ((?:[0-9a-f]{2} ?)+)`)

// load reads both sides of a transcript.
func load(tb testing.TB, name string) (client, server []byte) {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m := hexLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(m[2], " ", ""))
		if err != nil {
			tb.Fatal(err)
		}
		if m[1] == "C" {
			client = append(client, b...)
		} else {
			server = append(server, b...)
		}
	}
	if err := lines.Err(); err != nil || len(client) == 0 || len(server) == 0 {
		tb.Fatalf("%s: %d bytes of the client, %d of the server, %v", name, len(client), len(server), err)
	}
	return client, server
}
