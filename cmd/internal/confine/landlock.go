package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

const (
	// writes are the rights that change files, as ABI 3 has them.
	writes landlock.AccessFSSet = ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSRefer |
		ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeChar | ll.AccessFSMakeDir | ll.AccessFSMakeReg |
		ll.AccessFSMakeSock | ll.AccessFSMakeFifo | ll.AccessFSMakeBlock | ll.AccessFSMakeSym
	reads landlock.AccessFSSet = ll.AccessFSReadFile | ll.AccessFSReadDir
	// ofFiles are those that a rule for a file may give.
	ofFiles landlock.AccessFSSet = ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSReadFile
	// leastABI: before it renames from one directory into another, or truncating, could not be told apart.
	leastABI = 3
)

// Where every program reads: names of hosts and users, time zones, what the kernel tells.
var (
	systemReads = []string{"/etc", "/proc", "/sys", "/dev", "/usr/share/zoneinfo", "/usr/lib/locale", "/run/systemd/resolve", "/run/nscd", "/run/resolvconf"}
	// A terminal to ask for a password at, and the null device.
	systemWrites = []string{"/dev/null", "/dev/tty"}
	limits       = "/proc/sys/fs/inotify"
)

// restrictFiles puts the process into a landlock domain, and tells how.
func (p *Plan) restrictFiles() (string, error) {
	if p.Landlock.Off != "" {
		return p.Landlock.Off, nil
	}
	abi, err := ll.LandlockGetABIVersion()
	if err != nil || abi < leastABI {
		if p.needs.Level == Strict {
			return "", fmt.Errorf("landlock: the kernel has ABI %d, %d is needed (Linux 6.2, and \"landlock\" among lsm= at boot): --confine=auto does without", max(abi, 0), leastABI)
		}
		return "off: the kernel has none, or an old one", nil
	}
	handled := writes
	if p.Landlock.Reads {
		handled |= reads | ll.AccessFSExecute
	}
	rules, err := p.fileRules(handled)
	if err != nil {
		return "", err
	}
	domain := landlock.Config{HandledAccessFS: handled}
	if err := domain.RestrictPaths(rules...); err != nil {
		return "", fmt.Errorf("landlock: %w", err)
	}
	what := "writing"
	if p.Landlock.Reads {
		what = "reading, writing, executing"
	}
	return fmt.Sprintf("ABI %d: %s", abi, what), nil
}

// fileRules are the exceptions from what is handled.
func (p *Plan) fileRules(handled landlock.AccessFSSet) ([]landlock.Rule, error) {
	var rules []landlock.Rule
	for _, path := range p.needs.Write {
		rule, err := ruleFor(path, handled&(writes|reads))
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	if p.Landlock.Reads {
		for _, path := range p.needs.Read {
			rule, err := ruleFor(path, handled&reads)
			if err != nil {
				return nil, err
			}
			rules = append(rules, rule)
		}
		rules = append(rules, landlock.PathAccess(handled&reads, systemReads...).IgnoreIfMissing())
	}
	rules = append(rules, landlock.PathAccess(handled&ofFiles, systemWrites...).IgnoreIfMissing())
	if p.needs.Tune && !p.needs.changesUser() {
		rules = append(rules, landlock.PathAccess(handled&(writes|reads)&^ll.AccessFSRefer, limits).IgnoreIfMissing())
	}
	return rules, nil
}

// ruleFor gives rights at a path, or, while it is not there yet, at the directory that it will be
// made in; at the directory of a file, since files are replaced.
func ruleFor(path string, rights landlock.AccessFSSet) (landlock.Rule, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("landlock: %w", err)
	}
	for !isDir(abs) {
		abs = filepath.Dir(abs)
	}
	if strings.Trim(abs, "/") == "" {
		return nil, fmt.Errorf("landlock: %q is in the root directory, which is everything: give a place below a directory, or --confine=auto", path)
	}
	return landlock.PathAccess(rights, abs), nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir() || errors.Is(err, os.ErrPermission) // restricted by name all the same
}
