package syncer

import (
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

const (
	// blamedMax bounds how many paths a peer can name as failing in one push.
	blamedMax = 10_000
	// closingsMax bounds how many ends of a quoted name are tried: names may hold quotes.
	closingsMax = 16
	// quotedMax is the longest name that is looked at: PATH_MAX, each byte as \#ooo.
	quotedMax = 5 * 4096
	// suffixesMax bounds how deep an unknown home directory may lie.
	suffixesMax = 32
	// triesMax bounds the work that a peer's messages make in one push.
	triesMax = 20 * blamedMax
	// cutFrom is from which length on a name in that of a temporary file may be cut off: NAME_MAX less
	// what is around it, and a character.
	cutFrom = 255 - 8 - 4
)

// peerError is why a peer did not take a path, in its words.
type peerError struct {
	text  string
	errno syscall.Errno // 0 where none is known
	class Class
	attrs bool // only attributes are not as they should be
}

func (e *peerError) Error() string { return e.text }

// Unwrap lets errors.Is find the errno. That a name is missing on the peer's side does not mean that ours
// vanished, so that one is left out.
func (e *peerError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// newPeerError reads a message as rsync writes it: "rsync: [receiver] … failed: Permission denied (13)".
func newPeerError(text string) *peerError {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "rsync: ["); ok {
		if _, after, found := strings.Cut(rest, "] "); found {
			text = after
		}
	}
	e := &peerError{text: "the target says: " + wire.Printable([]byte(text)), errno: errnoOf(text)}
	switch {
	case e.errno != 0:
		e.class = classOfErrno(e.errno)
	case strings.Contains(text, "daemon refused"), strings.Contains(text, "daemon-excluded"):
		e.class = ClassConfiguration
	case strings.HasPrefix(text, "could not make way"):
		e.class = ClassOperator
	}
	for _, what := range []string{"failed to set ", "chgrp ", "chown ", "chmod "} {
		e.attrs = e.attrs || strings.HasPrefix(text, what)
	}
	return e
}

// errnoOf finds the errno at the end of a message by its words: its number is another one on other
// systems.
func errnoOf(text string) syscall.Errno {
	words, ok := strings.CutSuffix(text, ")")
	if i := strings.LastIndex(words, " ("); ok && i >= 0 {
		words = words[:i]
	}
	words = words[strings.LastIndex(words, ": ")+1:]
	n := errnos()[strings.ToLower(strings.TrimSpace(words))]
	if n == syscall.ENOENT {
		return 0
	}
	return n
}

var errnos = sync.OnceValue(func() map[string]syscall.Errno {
	const last = 133 // EHWPOISON, the last of Linux's
	m := map[string]syscall.Errno{"disc quota exceeded": syscall.EDQUOT, "operation not supported on socket": syscall.EOPNOTSUPP}
	for n := syscall.Errno(1); n <= last; n++ {
		m[n.Error()] = n
	}
	return m
})

// blamer finds out which paths a peer's messages are about. The peer may say anything: what is no name
// of the push is none.
type blamer struct {
	strip func(name string) []string // what a name on the peer may be in the transfer, the likeliest first
	known func(name string) bool     // a name of the push
	// begins are the names of the push that begin with a path, in that directory; nil: not known.
	begins func(name string) []string
	// prunes says that names may fail that the push does not hold, but the directories above them.
	prunes bool

	problems []Problem
	asides   []Problem // the last of them
	blamed   map[string]bool
	unknown  string   // the last message that is about nothing known
	last     bool     // the last message was understood
	others   []string // what else the name in the last message may stand for
	tries    int
}

// take takes a message of something that failed, and says whether it is about a path of the push, or adds
// nothing to the last one that was. Names in it may hold anything, line ends too.
func (b *blamer) take(raw []byte) bool {
	line := strings.TrimRight(string(raw), "\r\n")
	if strings.HasPrefix(line, "*** Skipping any contents from this failed directory") && b.last {
		return true
	}
	name, ok := b.name(line)
	if ok = ok && (b.blamed[name] || len(b.problems) < blamedMax); !ok {
		b.unknown, b.last = wire.Printable([]byte(line)), false
		return false
	}
	b.last = true
	for _, name := range append([]string{name}, b.others...) {
		b.blame(name, line)
	}
	return true
}

func (b *blamer) blame(name, line string) {
	if b.blamed[name] {
		return
	}
	if b.blamed == nil {
		b.blamed = map[string]bool{}
	}
	b.blamed[name] = true
	b.problems = append(b.problems, Problem{Path: name, Err: newPeerError(line)})
}

// stripTarget takes the target's directory off names as the peer writes them: from its root, or in a
// module from there. Where it lies in a home directory that is not known is ahead of it.
func stripTarget(t *Target) func(string) []string {
	top := path.Clean(t.Path)
	if !t.Shell() {
		top = path.Clean("/" + t.Path)
	}
	if home, rest, _ := strings.Cut(top, "/"); strings.HasPrefix(home, "~") {
		top = path.Clean(rest)
	}
	return func(name string) []string {
		if !strings.HasPrefix(name, "/") {
			return []string{name}
		}
		name = path.Clean(name)
		if strings.HasPrefix(top, "/") {
			return afterTop(name, top)
		}
		var out []string
		for i := 0; i < len(name) && len(out) < suffixesMax; i++ {
			if rest := name[i:]; top == "." && name[i] == '/' {
				out = append(out, rest[1:])
			} else if rest == "/"+top || strings.HasPrefix(rest, "/"+top+"/") {
				out = append(out, strings.TrimPrefix(rest[len(top)+1:], "/"))
			}
		}
		return out
	}
}

// afterTop is what name is below top.
func afterTop(name, top string) []string {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(top, "/")+"/")
	switch {
	case name == top:
		return []string{"."}
	case ok:
		return []string{rest}
	}
	return nil
}

// aside takes an error that is none of a path, as rsync has it, but may say for which the peer ended the push.
func (b *blamer) aside(raw []byte) {
	line := strings.TrimRight(string(raw), "\r\n")
	if name, ok := b.name(line); ok {
		b.asides = []Problem{{Path: name, Err: newPeerError(line)}}
	}
}

// name is the path that a message is about.
func (b *blamer) name(line string) (name string, ok bool) {
	b.others = nil
	try := func(deletes bool) func(raw string) bool {
		return func(raw string) bool {
			if len(raw) > quotedMax {
				return false
			}
			for _, s := range b.strip(unquote(raw)) {
				if name, ok = b.resolve(s, deletes); ok {
					return true
				}
			}
			return false
		}
	}
	if raw, deletes := deleted(line); deletes {
		try(b.prunes)(raw)
	} else {
		mentions(line, try(false))
	}
	return name, ok
}

// deleted is the name that could not be deleted. It need be no name of the push.
func deleted(line string) (raw string, ok bool) {
	_, rest, ok := strings.Cut(line, "delete_file: ")
	if !ok {
		return "", false
	}
	_, rest, _ = strings.Cut(rest, "(") // unlink or rmdir
	end := strings.LastIndex(rest, ") failed")
	return rest[:max(end, 0)], end > 0
}

// resolve says which name of the push s is, or is the temporary file of.
func (b *blamer) resolve(s string, deletes bool) (string, bool) {
	if s = path.Clean(s); s == ".." || strings.HasPrefix(s, "../") || strings.IndexByte(s, 0) >= 0 {
		return "", false
	}
	if b.knows(s) {
		return s, true
	}
	var may []string
	for _, final := range finals(s) {
		if b.knows(final) {
			may = append(may, final)
		}
	}
	if len(may) > 0 {
		b.others = may[1:] // which of them it is the peer does not say: rather one too many
		return may[0], true
	}
	for _, final := range finals(s) {
		if len(path.Base(final)) < cutFrom || b.begins == nil || b.tries > triesMax {
			continue
		}
		b.tries += triesMax / 100 // a directory is read
		if cut := b.begins(final); len(cut) == 1 && b.knows(cut[0]) {
			return cut[0], true
		}
	}
	if !deletes {
		return "", false
	}
	for dir := parent(s); dir != ""; s, dir = dir, parent(dir) {
		if b.knows(dir) {
			return s, true // the topmost that is not ours
		}
	}
	return "", false
}

// knows is known within bounds.
func (b *blamer) knows(name string) bool {
	b.tries++
	return b.tries < triesMax && b.known(name)
}

// finals are the names that a temporary file .NAME.XXXXXX may be for. (rsync 3.5.0 receiver.c,
// get_tmpname: a name that begins with a dot gets no second one, nor one that ends with a dot.)
func finals(s string) []string {
	const random = 6
	dir, base := path.Split(s)
	if len(base) < random+3 || base[0] != '.' || base[len(base)-random-1] != '.' {
		return nil
	}
	base = base[:len(base)-random-1]
	var out []string
	for _, name := range []string{base[1:], base, base[1:] + ".", base + "."} {
		if name != "." && name != ".." {
			out = append(out, dir+name)
		}
	}
	return out
}

// mentions hands try what may be the name in a message of rsync (3.0.9 to 3.5.0), until it is content:
// in quotes, or behind a colon.
func mentions(line string, try func(string) bool) bool {
	if open := strings.IndexByte(line, '"'); open >= 0 && tryEnds(line[open+1:], try) {
		return true
	}
	if name, _, ok := strings.Cut(strings.TrimPrefix(line, "ERROR: "), " failed verification"); ok && try(name) {
		return true
	}
	if _, rest, ok := strings.Cut(line, " partial-dir for "); ok {
		if end := strings.LastIndex(rest, " -- discarding "); end >= 0 && try(rest[:end]) {
			return true
		}
	}
	for rest, n := line, 0; n < closingsMax; n++ {
		var ok bool
		if _, rest, ok = strings.Cut(rest, ": "); !ok {
			return false
		}
		if try(rest) {
			return true
		}
	}
	return false
}

// tryEnds tries what is before each quote, the longest first.
func tryEnds(s string, try func(string) bool) bool {
	for range closingsMax {
		i := strings.LastIndexByte(s, '"')
		if i < 0 {
			return false
		}
		if s = s[:i]; try(s) {
			return true
		}
	}
	return false
}

// unquote undoes rsync's \#ooo.
func unquote(s string) string {
	if !strings.Contains(s, `\#`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && len(s)-i >= 5 && s[i+1] == '#' {
			if c, err := strconv.ParseUint(s[i+2:i+5], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 4
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
