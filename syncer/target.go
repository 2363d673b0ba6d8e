package syncer

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultPort is that of the rsync daemon (IANA service "rsync").
const DefaultPort = 873

// Target is where to push to. Without a Host it is a local directory, with a Module that of a
// daemon, else a directory behind a remote shell.
type Target struct {
	User, Host string
	Port       int // of a daemon; 0: none was given
	Module     string
	Path       string // local path, or path there; a trailing slash is kept. In a shell "" is the home directory
}

// ParseTarget reads a target as rsync(1) does: /path, ./path, [user@]host:path,
// [user@]host::module/path or rsync://[user@]host[:port]/module/path. What has a colon before
// the first slash is remote.
func ParseTarget(s string) (Target, error) {
	if s == "" {
		return Target{}, errors.New("the target is empty")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return Target{}, fmt.Errorf("target %q holds a NUL byte", s)
	}
	if rest, ok := cutPrefixFold(s, "rsync://"); ok {
		return parseURL(s, rest)
	}
	colon := hostEnd(s)
	if colon == 0 {
		return Target{}, fmt.Errorf("target %q begins with a colon: the host is missing", s)
	}
	if colon < 0 {
		return Target{Path: s}, nil
	}
	t := Target{}
	err := t.setHost(s[:colon])
	if module, ok := strings.CutPrefix(s[colon+1:], ":"); !ok {
		t.Path = s[colon+1:]
	} else if err == nil {
		err = t.setModule(module)
	}
	if err != nil {
		return Target{}, inTarget(s, err)
	}
	return t, nil
}

// ErrPassword is ParseTarget's of a target that holds one, which it does not repeat.
var ErrPassword = errors.New("a target names no password: the user name before the @ has a colon (--password-file=FILE, or RSYNC_PASSWORD)")

func inTarget(s string, err error) error {
	if errors.Is(err, ErrPassword) {
		return err
	}
	return fmt.Errorf("target %q: %w", s, err)
}

// hostEnd is where the colon is that ends the host, negative in a local path.
func hostEnd(s string) int {
	colon := strings.IndexByte(s, ':')
	bracket := -1 // [2001:db8::1]::module, u@[2001:db8::1]:path
	if s[0] == '[' {
		bracket = 0
	} else if at := strings.Index(s, "@["); at >= 0 && (colon < 0 || at < colon) {
		bracket = at + 1
	}
	if end := strings.IndexByte(s, ']'); bracket >= 0 && end > bracket && strings.HasPrefix(s[end+1:], ":") {
		colon = end + 1
	}
	if slash := strings.IndexByte(s, '/'); slash >= 0 && slash < colon {
		return -1
	}
	return colon
}

func parseURL(whole, rest string) (Target, error) {
	host, path, _ := strings.Cut(rest, "/")
	t := Target{}
	user := ""
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		user, host = host[:at+1], host[at+1:]
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		port, err := strconv.ParseUint(host[i+1:], 10, 16)
		if err != nil || port == 0 {
			return Target{}, fmt.Errorf("target %q: %q is no port", whole, host[i+1:])
		}
		t.Port, host = int(port), host[:i]
	}
	if err := t.setHost(user + host); err != nil {
		return Target{}, inTarget(whole, err)
	}
	if err := t.setModule(path); err != nil {
		return Target{}, inTarget(whole, err)
	}
	return t, nil
}

func (t *Target) setHost(s string) error {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		t.User, s = s[:at], s[at+1:]
		if strings.Contains(t.User, ":") {
			return ErrPassword
		}
		if t.User == "" || strings.ContainsAny(t.User, " \t\r\n") {
			return fmt.Errorf("%q is no user name", t.User)
		}
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	if s == "" || strings.ContainsAny(s, " \t\r\n/@[]") {
		return fmt.Errorf("%q is no host", s)
	}
	if s[0] == '-' || strings.HasPrefix(t.User, "-") {
		return fmt.Errorf("%q begins with a dash: a remote shell would take it for an option", s)
	}
	t.Host = s
	return nil
}

func (t *Target) setModule(s string) error {
	t.Module, t.Path, _ = strings.Cut(s, "/")
	if t.Module == "" {
		return errors.New("the module is missing: host::module/path")
	}
	if strings.ContainsAny(t.Module, "\r\n") || t.Module[0] == '#' {
		return fmt.Errorf("%q is no module name", t.Module)
	}
	return nil
}

// Remote says whether t is on another machine, or asked as if it were.
func (t Target) Remote() bool { return t.Host != "" }

// Shell says whether t is reached by a remote shell.
func (t Target) Shell() bool { return t.Host != "" && t.Module == "" }

// Addr is the daemon's address to dial; port stands where the target gave none.
func (t Target) Addr(port int) string {
	if t.Port != 0 {
		port = t.Port
	}
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(port))
}

// String is t as rsync writes it.
func (t Target) String() string {
	if !t.Remote() {
		return t.Path
	}
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.User != "" {
		host = t.User + "@" + host
	}
	if t.Shell() {
		return host + ":" + t.Path
	}
	if t.Port != 0 {
		return fmt.Sprintf("rsync://%s:%d/%s/%s", host, t.Port, t.Module, t.Path)
	}
	return fmt.Sprintf("%s::%s/%s", host, t.Module, t.Path)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
