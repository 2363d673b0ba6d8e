package sender

import (
	"os/user"
	"strconv"
)

// idNames looks ids up once each. One serves one push: a user that is made later has a
// name in the next.
type idNames struct{ users, groups map[uint32]string }

func newIDNames() *idNames {
	return &idNames{users: map[uint32]string{}, groups: map[uint32]string{}}
}

func (n *idNames) user(id uint32) string {
	return cached(n.users, id, func(s string) string {
		u, err := user.LookupId(s)
		if err != nil {
			return "" // no name: the number travels alone
		}
		return u.Username
	})
}

func (n *idNames) group(id uint32) string {
	return cached(n.groups, id, func(s string) string {
		g, err := user.LookupGroupId(s)
		if err != nil {
			return ""
		}
		return g.Name
	})
}

func cached(m map[uint32]string, id uint32, look func(string) string) string {
	name, ok := m[id]
	if !ok {
		name = look(strconv.FormatUint(uint64(id), 10))
		m[id] = name
	}
	return name
}
