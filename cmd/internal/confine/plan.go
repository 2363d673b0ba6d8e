package confine

import (
	"path/filepath"
	"slices"
	"strings"

	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// How much is taken.
const (
	Off    = "off"
	Auto   = "auto"
	Strict = "strict"
)

// Levels are the values of --confine.
func Levels() []string { return []string{Auto, Strict, Off} }

// Needs are what a run has to be able to do.
type Needs struct {
	Level string // Off, Auto or Strict
	User  *User  // to become; nil: stay who we are

	Watch    bool // it goes on for long
	Fanotify bool // it was asked for by name
	Inotify  bool // it was asked for by name
	Tune     bool // the kernel's limits are raised

	Exec   bool // a remote shell is run, with all that it needs
	Local  bool // the target is a local directory
	Secret bool // a password is in memory

	Owners, Devices, Xattrs, Atimes bool // what is kept of files

	ReadsAnywhere bool     // symlinks of the source are followed
	Read          []string // where is read, beside the system's own places
	Write         []string // where is written, and read
}

// Plan is what Decide makes of needs.
type Plan struct {
	needs      Needs
	Keep       []cap.Value // capabilities, of those that there are
	Bound      bool        // children, too, can never have others
	NoNewPrivs bool
	Seccomp    bool
	Landlock   Landlock
	Lost       []string // for people
}

// Landlock says what files are for.
type Landlock struct {
	Off     string // why it is not used; "" where it is
	Reads   bool   // reading is restricted too
	Execute bool   // (never with a remote shell)
}

// Decide tells what can be taken away. With Off that is nothing, but for what --user brings.
func Decide(n Needs) Plan {
	p := Plan{needs: n, Keep: capabilities(&n)}
	on := n.Level == Auto || n.Level == Strict
	// What a remote shell needs is its own business: ssh-keysign is set-user-ID, a ProxyCommand may be
	// anything, and --rsh may be sudo.
	alone := !n.Exec || n.Level == Strict
	p.Bound = on && alone
	p.NoNewPrivs = on && alone
	p.Seccomp = on && alone
	p.Landlock = landlockFor(&n)
	p.Lost = lost(&n)
	return p
}

// changesUser says whether somebody else is to run this than root.
func (n *Needs) changesUser() bool { return n.User != nil && n.User.UID != 0 }

// fanotify says whether it can be had: it takes CAP_SYS_ADMIN, which is nearly root. Who wants to be
// somebody else gets it only by name.
func (n *Needs) fanotify() bool {
	return n.Watch && !n.Inotify && (n.Fanotify || !n.changesUser())
}

// capabilities are the ones to keep. Those of a user who is not root are root's of old: with them
// it reads what others own, and gives files away.
func capabilities(n *Needs) []cap.Value {
	keep := []cap.Value{cap.DAC_READ_SEARCH} // any file of the source; open_by_handle_at for fanotify
	add := func(wanted bool, c ...cap.Value) {
		if wanted {
			keep = append(keep, c...)
		}
	}
	add(n.fanotify(), cap.SYS_ADMIN)
	// With -U files are read without leaving a trace, which is their owner's right (open(2), O_NOATIME).
	add(n.Atimes, cap.FOWNER)
	add(n.Xattrs && !n.changesUser(), cap.SYS_ADMIN) // trusted.*
	if n.Local {
		add(n.Owners || !n.changesUser(), cap.CHOWN, cap.DAC_OVERRIDE, cap.FOWNER, cap.FSETID)
		add(n.Devices, cap.MKNOD)
		add(n.Xattrs, cap.SETFCAP)
		add(!n.changesUser(), cap.SYS_RESOURCE) // beyond quotas, as root always was
	}
	slices.Sort(keep)
	return slices.Compact(keep)
}

func landlockFor(n *Needs) Landlock {
	l := Landlock{Reads: n.Level == Strict && !n.ReadsAnywhere}
	switch {
	case n.Level != Auto && n.Level != Strict:
		l.Off = "off"
	case n.Exec:
		l.Off = "off: a remote shell reads and writes what it likes"
	case n.Local && n.Level == Auto:
		l.Off = "off: a target that is unmounted and comes back would be closed (--confine=strict does without)"
	}
	return l
}

// lost is what works without the confinement and not with it.
func lost(n *Needs) []string {
	var out []string
	add := func(is bool, what string) {
		if is {
			out = append(out, what)
		}
	}
	user := n.changesUser()
	add(user && n.Watch && !n.fanotify() && !n.Inotify, "fanotify: each directory takes an inotify watch (--watch-backend=fanotify keeps CAP_SYS_ADMIN for it)")
	add(user && n.Watch && n.Tune, "limits are raised at the start only, not when the kernel's queue overflows")
	add(user && n.Xattrs, "extended attributes of the trusted namespace")
	add(user && n.Local && !n.Owners, "files of others on the target can be replaced only where their directory is writable")
	if n.Level != Strict {
		return out
	}
	add(n.Exec, "a remote shell cannot gain privileges: sudo, ssh-keysign and the like fail")
	restricted := landlockFor(n)
	add(restricted.Off == "" && n.Watch, "a source or target that is unmounted, or replaced, and comes back is found again only by a restart")
	add(restricted.Off == "" && !restricted.Reads, "reading is not restricted: symlinks of the source are followed")
	return out
}

// Lacks is what n takes and a process that the plan was applied to has not, for people; nil: it has all.
func (p *Plan) Lacks(n Needs) []string {
	var out []string
	if p.needs.Level != Off || p.needs.User != nil {
		for _, c := range capabilities(&n) {
			if !slices.Contains(p.Keep, c) {
				out = append(out, c.String())
			}
		}
	}
	if p.Seccomp && n.Exec && !p.needs.Exec {
		out = append(out, "running programs")
	}
	if p.Landlock.Off != "" {
		return out
	}
	for _, dir := range n.Write {
		if !below(dir, p.needs.Write) {
			out = append(out, "writing below "+dir)
		}
	}
	for _, dir := range n.Read {
		if p.Landlock.Reads && !below(dir, slices.Concat(p.needs.Read, p.needs.Write)) {
			out = append(out, "reading below "+dir)
		}
	}
	return out
}

// below says whether dir is one of places, or in one.
func below(dir string, places []string) bool {
	return slices.ContainsFunc(places, func(p string) bool {
		rel, err := filepath.Rel(p, dir)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
	})
}
