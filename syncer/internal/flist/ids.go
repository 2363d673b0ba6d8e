package flist

import (
	"iter"

	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// AppendIDs appends the names of users and groups, which follow the list unless ids
// are numeric (rsync 3.5.0 uidlist.c, send_id_lists). name gives "" for an id that has
// none; such ids are left out, and the receiver keeps the number.
func AppendIDs(b []byte, f Format, entries iter.Seq[*Entry], userName, groupName func(id uint32) string) []byte {
	if f.NumericIDs {
		return b
	}
	users := idList{format: f, name: userName, seen: map[uint32]bool{0: true}}
	groups := idList{format: f, name: groupName, seen: map[uint32]bool{0: true}}
	for e := range entries {
		if e.Missing() {
			continue
		}
		if f.Owner {
			users.add(e.UID)
		}
		if f.Group {
			groups.add(e.GID)
		}
		if f.ACLs && e.Extra != nil {
			addNamed(e.Extra.Access, &users, &groups)
			addNamed(e.Extra.Default, &users, &groups)
		}
	}
	// ACLs have both lists sent, whatever is kept of owners.
	if f.Owner || f.ACLs {
		b = users.append(b)
	}
	if f.Group || f.ACLs {
		b = groups.append(b)
	}
	return b
}

func addNamed(a *meta.ACL, users, groups *idList) {
	if a == nil {
		return
	}
	for _, n := range a.Named {
		if n.User {
			users.add(n.ID)
		} else {
			groups.add(n.ID)
		}
	}
}

// idList gathers the ids of one kind.
type idList struct {
	format Format
	name   func(uint32) string
	seen   map[uint32]bool
	last   uint32
	body   []byte
}

func (l *idList) add(id uint32) {
	if id == l.last || l.seen[id] {
		return
	}
	l.last, l.seen[id] = id, true
	if n := l.name(id); n != "" {
		l.body = appendIDName(wire.AppendVarint(l.body, int32(id)), n)
	}
}

func (l *idList) append(b []byte) []byte {
	b = append(append(b, l.body...), 0)
	if l.format.ID0Names {
		b = appendIDName(b, l.name(0))
	}
	return b
}

func appendIDName(b []byte, name string) []byte {
	name = name[:min(len(name), 255)]
	return append(append(b, byte(len(name))), name...)
}
