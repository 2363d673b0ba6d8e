package watcher

import (
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxMoves bounds the moves kept until they are emitted: more renames than that are told as
	// what went and what came.
	maxMoves = 4096
	// pairWithin is how many events may lie between the two halves of a rename. The kernel does not
	// queue them as one (inotify(7), "Dealing with rename() events"), but seldom anything comes
	// between them. It spares the creations of a burst the cost of renamedFrom.
	pairWithin = 64
	// halfWait is how long the second half of a rename is waited for. The kernel queues it within the
	// same system call, and fsnotify reads both at once: what is waited for is a goroutine's turn.
	halfWait = 2 * time.Millisecond
)

// move is a rename within the tree. Paths are absolute until they are emitted.
type move struct {
	from, to string
	id       inode // of the directory that was known at from; zero where none was
	dir      bool  // it is known to be a directory
}

// renamedFrom gives the old name that fsnotify found by the cookie of a Create event, "" where there
// is none. fsnotify v1.10.1 has it in an unexported field, and shows it in String alone, as
// `CREATE "/new" ← "/old"`; its Events are the only place where cookies are to be had. What has
// another form has no old name: a move that is not known as one costs time, nothing else.
func renamedFrom(e fsnotify.Event) string {
	rest := strings.TrimLeft(strings.TrimPrefix(e.String(), e.Op.String()), " ")
	name, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return ""
	}
	quoted, ok := strings.CutPrefix(rest[len(name):], " ← ")
	if !ok {
		return ""
	}
	from, err := strconv.Unquote(quoted)
	if err != nil {
		return ""
	}
	return from
}

// pairing asks for old names only where a rename was seen shortly before.
type pairing struct{ left int }

func (p *pairing) from(e fsnotify.Event) string {
	p.left--
	if e.Has(fsnotify.Rename) {
		p.left = pairWithin
	}
	if p.left < 0 || !e.Has(fsnotify.Create) {
		return ""
	}
	return renamedFrom(e)
}

// moved notes the moves of a round, in the order in which they happened, before the tables learn of
// them: a directory is still known under its old name.
func (t *tree) moved(moves []move) {
	if len(moves) == 0 {
		return
	}
	for _, m := range moves {
		from, ok := relPath(t.root, cleanName(m.from))
		to, okTo := relPath(t.root, cleanName(m.to))
		if !ok || !okTo || from == "." || to == "." {
			continue
		}
		id := t.movedTo[from]
		delete(t.movedTo, from)
		if n := t.at(cleanName(m.from)); n != nil && id == (inode{}) {
			id = n.id
		}
		delete(t.movedTo, to)
		t.noteMoved(joinPath(t.root, to), id)
		if !t.hidden(from, id) && !t.hidden(to, id) {
			t.marks.addMove(move{from: from, to: to, id: id})
		}
	}
}

// noteMoved notes that the directory id is, or was, at abs, where the table does not have it. What is
// wrong in that is found out by who looks at the directory.
func (t *tree) noteMoved(abs string, id inode) {
	rel, ok := relPath(t.root, abs)
	if !ok || id == (inode{}) {
		return
	}
	if t.movedTo == nil || len(t.movedTo) > maxMoves {
		t.movedTo = make(map[string]inode)
	}
	t.movedTo[rel] = id
}

// hidden reports whether rel takes no part. Of what is not known as a directory the disk may know
// more, but a file may have moved on; a name that is left out as either is left out.
func (t *tree) hidden(rel string, id inode) bool {
	if id != (inode{}) {
		return t.excluded(rel, true)
	}
	return t.excluded(rel, false)
}
