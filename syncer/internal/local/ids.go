package local

import (
	"fmt"
	"os/user"
	"strconv"
	"sync"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// owners translates ids as --usermap or --groupmap say. Without them an id is itself: source
// and target are one machine. It is safe for concurrent use.
type owners struct {
	rules option.IDMap
	name  func(id string) string // "": the machine has no name for it, or names do not count
	id    func(name string) (string, error)
	known sync.Map // uint32 → uint32
}

// readMaps takes the options that translate owners. A rule for a name that the machine does
// not know does not count, which is said once, like rsync 3.5.0 (uidlist.c, parse_name_map).
func (t *Target) readMaps() error {
	users, err := option.ParseIDMap(t.opts.Usermap)
	if err != nil {
		return fmt.Errorf("--usermap: %w", err)
	}
	groups, err := option.ParseIDMap(t.opts.Groupmap)
	if err != nil {
		return fmt.Errorf("--groupmap: %w", err)
	}
	t.users.name, t.users.id = userName, userID
	t.groups.name, t.groups.id = groupName, groupID
	if t.opts.NumericIDs {
		none := func(string) string { return "" }
		t.users.name, t.groups.name = none, none
	}
	t.said = append(t.users.use(users, "--usermap"), t.groups.use(groups, "--groupmap")...)
	return nil
}

// use takes those rules that can be followed; of the others it tells.
func (o *owners) use(rules option.IDMap, flag string) (said []string) {
	unknown, rest := rules.Unknown(func(name string) bool { _, err := o.number(name); return err == nil })
	o.rules = rest
	for _, name := range unknown {
		said = append(said, "Unknown "+flag+" name on receiver: "+name)
	}
	return said
}

// local is what id becomes.
func (o *owners) local(id uint32) uint32 {
	if len(o.rules) == 0 {
		return id
	}
	if to, ok := o.known.Load(id); ok {
		return to.(uint32)
	}
	to := id
	if text, ok := o.rules.Find(id, func() string { return o.name(strconv.FormatUint(uint64(id), 10)) }); ok {
		if n, err := o.number(text); err == nil {
			to = n
		}
	}
	o.known.Store(id, to)
	return to
}

// number reads an id in digits, or looks up a name.
func (o *owners) number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err == nil {
		return uint32(n), nil
	}
	id, err := o.id(text)
	if err != nil {
		return 0, err
	}
	n, err = strconv.ParseUint(id, 10, 32)
	return uint32(n), err
}

func userName(id string) string {
	u, err := user.LookupId(id)
	if err != nil {
		return ""
	}
	return u.Username
}

func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupName(id string) string {
	g, err := user.LookupGroupId(id)
	if err != nil {
		return ""
	}
	return g.Name
}

func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
