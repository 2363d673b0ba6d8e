package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/sysctl"
)

const sysctlUsage = `lockstep sysctl shows the kernel's limits on watching, what is in use, and what is advised.

  lockstep sysctl /abc/                   what there is, what watching /abc/ needs
  lockstep sysctl --persist /abc/         raise it, now and after each boot (as root)

Usage: lockstep sysctl [OPTION…] [DIR…]

Each DIR is to be watched by a lockstep of its own. The limits count per user, for all of
the user's processes and containers together: what is in use, and needed, is told for the
user who runs this. A DIR needs what is told of fanotify or what is told of inotify, as
--watch-backend chooses. Nothing is ever lowered.

      --apply             raise what is too low; it lasts until the next boot
      --persist           --apply, and write it into ` + sysctl.ConfFile + `,
                          where other lines and higher values stay
      --print             print such a file, for another machine or a container's host
      --json              one JSON object; of processes all, not only the first few
  -x, --one-file-system   count directories on DIR's own file system only
  -h, --help              this text

Exit codes
   0  all went well, whatever the limits are
   1  usage
  11  something could not be read, or not be set: the message says why, and what to run
      on the host
`

// sysctlCommand is what the verb works on. Its zero value is the machine; tests have others.
type sysctlCommand struct {
	proc, conf string // "" for /proc and sysctl.ConfFile
	memory     func() (int64, error)

	trees                       []string
	apply, persist, print, json bool
	oneFileSystem, help         bool
}

func runSysctl(args []string, stdout, stderr io.Writer) int {
	return (&sysctlCommand{memory: sysctl.MemTotal}).run(args, stdout, stderr)
}

func (c *sysctlCommand) run(args []string, stdout, stderr io.Writer) int {
	if err := c.parse(args); err != nil {
		return misused(stderr, "sysctl", err)
	}
	if c.help {
		return printed(stderr, writeString(stdout, sysctlUsage))
	}
	r, err := c.look()
	if err != nil {
		fmt.Fprintf(stderr, "lockstep: %v (code %d)\n", err, syncer.CodeFile)
		return int(syncer.CodeFile)
	}
	if c.print {
		return printed(stderr, writeString(stdout, sysctl.Config(r.lasting)))
	}
	undone := c.change(r)
	show := (*sysctlReport).table
	switch {
	case c.json:
		show = (*sysctlReport).json
	case c.apply:
		show = (*sysctlReport).changes
	}
	if code := printed(stderr, show(r, stdout)); code != 0 {
		return code
	}
	return c.complain(stderr, r, undone)
}

func writeString(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// printed is the exit code of output that came to err.
func printed(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "lockstep: %v (code %d)\n", err, syncer.CodeFile)
	return int(syncer.CodeFile)
}

func (c *sysctlCommand) parse(args []string) error {
	l := options.NewVerb()
	l.Set("apply", "", &c.apply)
	l.Set("persist", "", &c.persist, &c.apply)
	l.Set("print", "", &c.print)
	l.Set("json", "", &c.json)
	l.Set("one-file-system", "x", &c.oneFileSystem)
	l.Set("help", "h", &c.help)
	if err := l.Parse(args); err != nil {
		return err
	}
	c.trees = l.Args()
	if c.help {
		return nil
	}
	var errs []error
	if c.print && c.apply {
		errs = append(errs, errors.New("--print changes nothing: it excludes --apply and --persist"))
	}
	if c.print && c.json {
		errs = append(errs, errors.New("--print and --json exclude one another: what --print prints is a file"))
	}
	for _, dir := range c.trees {
		if dir == "" {
			errs = append(errs, errors.New("a directory's name is empty"))
		}
	}
	return errors.Join(errs...)
}

// look gathers all there is to know.
func (c *sysctlCommand) look() (*sysctlReport, error) {
	r := &sysctlReport{uid: uint32(os.Geteuid())}
	need := sysctl.Need{Trees: len(c.trees)}
	for _, dir := range c.trees {
		n, err := c.count(dir)
		if err != nil {
			return nil, err
		}
		r.Trees = append(r.Trees, treeRow{dir, n})
		need.Directories += n
	}
	limits, err := sysctl.Read(c.proc)
	if err != nil {
		return nil, err
	}
	mem, err := c.memory()
	if err != nil {
		return nil, err
	}
	usage, err := sysctl.ReadUsage(c.proc)
	if err != nil {
		return nil, err
	}
	r.use(usage)
	need.InUse = r.mine
	advice := limits.Advise(need, mem)
	r.settings, r.lasting = advice.Settings(), advice.Settings()
	// Older kernels lack some of these: then there is nothing to show.
	if own, err := sysctl.ReadNamespace(c.proc); err == nil {
		r.settings = append(r.settings, advice.NamespaceSettings(own)...)
	}
	if fan, err := sysctl.ReadFanotify(c.proc); err == nil {
		settings := fan.Settings(fan.Advise(need))
		r.settings = append(r.settings, settings...)
		r.lasting = append(r.lasting, sysctl.Growing(settings)...)
	}
	r.rows(need)
	return r, nil
}

// count is how many watches a tree takes.
func (c *sysctlCommand) count(dir string) (int, error) {
	var root syscall.Stat_t
	if err := syscall.Stat(dir, &root); err != nil {
		return 0, fmt.Errorf("%q: %w%s", dir, err, c.aside())
	}
	if root.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return 0, fmt.Errorf("%q: %w%s", dir, syscall.ENOTDIR, c.aside())
	}
	var excluded func(string, bool) bool
	if c.oneFileSystem {
		excluded = func(path string, _ bool) bool {
			var st syscall.Stat_t
			return syscall.Lstat(filepath.Join(dir, path), &st) == nil && st.Dev != root.Dev
		}
	}
	return sysctl.CountDirectories(context.Background(), dir, excluded)
}

// aside helps who has a source named like the verb.
func (c *sysctlCommand) aside() string {
	if _, err := os.Lstat("sysctl"); err != nil || len(c.trees) != 1 {
		return ""
	}
	return `: a source named "sysctl" is written ./sysctl`
}

// change does what was asked for, and returns the settings that are yet to be made by hand.
func (c *sysctlCommand) change(r *sysctlReport) (undone []sysctl.Setting) {
	if c.apply {
		applied, err := sysctl.Apply(c.proc, r.settings)
		for _, s := range applied {
			r.Changed = append(r.Changed, changeRow{s.Key, s.Old, s.New})
		}
		var unset *sysctl.ApplyError
		if errors.As(err, &unset) {
			for _, f := range unset.Failures {
				r.Failed = append(r.Failed, f.String())
				undone = append(undone, f.Setting)
			}
		}
	}
	if c.persist {
		written, err := sysctl.Persist(c.conf, r.lasting)
		r.File = c.confName()
		for _, s := range written {
			r.Persisted = append(r.Persisted, changeRow{s.Key, s.Old, s.New})
		}
		if err != nil {
			r.Failed = append(r.Failed, err.Error())
			undone = merged(r.lasting, undone)
		}
	}
	return undone
}

// merged puts behind all what is not among them.
func merged(all, more []sysctl.Setting) []sysctl.Setting {
	out := slices.Clone(all)
	for _, s := range more {
		if !slices.ContainsFunc(out, func(o sysctl.Setting) bool { return o.Key == s.Key }) {
			out = append(out, s)
		}
	}
	return out
}

func (c *sysctlCommand) confName() string {
	if c.conf == "" {
		return sysctl.ConfFile
	}
	return c.conf
}

// complain tells what could not be done, and then how it can.
func (c *sysctlCommand) complain(stderr io.Writer, r *sysctlReport, undone []sysctl.Setting) int {
	if len(r.Failed) == 0 {
		return 0
	}
	for _, text := range r.Failed {
		fmt.Fprintf(stderr, "lockstep: %s\n", text)
	}
	fmt.Fprintf(stderr, "lockstep: %s\n", sysctl.Remedy(undone))
	fmt.Fprintf(stderr, "lockstep: not all was done (code %d)\n", syncer.CodeFile)
	return int(syncer.CodeFile)
}
