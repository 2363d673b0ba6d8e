package confine

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// User is whom a process becomes.
type User struct {
	Name     string // "" where only the number is known
	Home     string
	UID, GID int
	Groups   []int // supplementary ones
}

// ParseUser reads --user=NAME[:GROUP], names or numbers. The group is the user's own where none is
// given, and the supplementary groups are those that the user is in. They are looked up in
// /etc/passwd and /etc/group: what is only in a directory service is given by numbers.
func ParseUser(s string) (*User, error) {
	name, group, hasGroup := strings.Cut(s, ":")
	if name == "" || hasGroup && group == "" {
		return nil, fmt.Errorf("%q: it is NAME or NAME:GROUP", s)
	}
	u := &User{GID: -1}
	found, err := lookUser(name)
	switch {
	case err == nil:
		if err := u.fill(found); err != nil {
			return nil, err
		}
	case isNumber(name):
		if u.UID, err = number(name); err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
	default:
		return nil, fmt.Errorf("user %q is not in /etc/passwd: give a number, with :GROUP, for one that is elsewhere", name)
	}
	if hasGroup {
		if u.GID, err = lookGroup(group); err != nil {
			return nil, err
		}
	}
	if u.GID < 0 {
		return nil, fmt.Errorf("user %q is not in /etc/passwd: give its group too, as %s:%s", name, name, name)
	}
	return u, nil
}

func (u *User) fill(found *user.User) (err error) {
	u.Name, u.Home = found.Username, found.HomeDir
	if u.UID, err = number(found.Uid); err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	if u.GID, err = number(found.Gid); err != nil {
		return fmt.Errorf("group of user %q: %w", u.Name, err)
	}
	ids, err := found.GroupIds()
	if err != nil {
		return fmt.Errorf("groups of user %q: %w", u.Name, err)
	}
	for _, id := range ids {
		gid, err := number(id)
		if err != nil {
			return fmt.Errorf("groups of user %q: %w", u.Name, err)
		}
		u.Groups = append(u.Groups, gid)
	}
	slices.Sort(u.Groups)
	return nil
}

// String is for people.
func (u *User) String() string {
	name := u.Name
	if name == "" {
		name = strconv.Itoa(u.UID)
	}
	return fmt.Sprintf("%s (uid %d, gid %d)", name, u.UID, u.GID)
}

func lookUser(name string) (*user.User, error) {
	if u, err := user.Lookup(name); err == nil || !isNumber(name) {
		return u, err
	}
	return user.LookupId(name)
}

func lookGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return number(g.Gid)
	}
	if !isNumber(name) {
		return -1, fmt.Errorf("group %q is not in /etc/group: give a number for one that is elsewhere", name)
	}
	gid, err := number(name)
	if err != nil {
		return -1, fmt.Errorf("group %q: %w", name, err)
	}
	return gid, nil
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// number reads an ID. The largest of 32 bits says "leave it" to the kernel.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return -1, errors.New("it is a number from 0 to 4294967294")
	}
	return int(n), nil
}
