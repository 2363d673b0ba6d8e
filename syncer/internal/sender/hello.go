package sender

import (
	"bufio"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 the weakest digest that daemons still offer

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

const (
	maxLine     = 4096 // of the daemon's text lines
	maxMOTD     = 1000 // lines before the daemon comes to the point
	dialogError = "@ERROR"
)

// Module is where on a daemon to push to, and who is asking.
type Module struct {
	Name     string
	Path     string // within the module; as the user wrote it, a trailing slash included
	User     string
	Password func() (string, error) // asked only when the daemon wants it
}

// ErrAuth says that the daemon refused the user or the password, or that there was none.
var ErrAuth = errors.New("authentication")

// ErrBusy says that the daemon serves as many clients as it may.
var ErrBusy = errors.New("busy")

// What else a daemon refuses a push for.
var (
	ErrNoModule    = errors.New("no such module")
	ErrDenied      = errors.New("access denied") // by hosts allow, or hosts deny
	ErrNoPath      = errors.New("the module's path is not there")
	ErrReadOnly    = errors.New("the module is read only")
	ErrOldProtocol = errors.New("the peer's protocol is too old")
	ErrNoDaemon    = errors.New("no rsync daemon")
)

// ErrNoMissingArgs says that the peer is too old to delete single names: nothing was sent.
// The directories that they were in can be pruned instead.
var ErrNoMissingArgs = errors.New("the peer cannot delete single names")

// missingArgs is the protocol of the first rsync with --delete-missing-args, 3.1.0.
const missingArgs = 31

// RefusedError is an @ERROR line: the daemon does not want this push.
type RefusedError struct{ Line string }

func (e *RefusedError) Error() string { return "the daemon refused: " + e.Line }

// hello speaks the daemon's line protocol up to the point where arguments are expected.
// It returns the protocol that both sides speak, and whether the peer is rsync 3.2.7 or
// later, which is when greetings began to list digests.
func hello(w io.Writer, r *bufio.Reader, o *Options, m *Module) (protocol int, modern bool, err error) {
	// Neither side waits for the other's greeting: ours and the module's name leave at once.
	_, err = fmt.Fprintf(w, "@RSYNCD: %d.0 %s\n%s\n", o.Protocol, strings.Join(o.AuthDigests, " "), m.Name)
	if err != nil {
		return 0, false, fmt.Errorf("greet the daemon: %w", err)
	}
	line, err := readLine(r)
	if err != nil {
		return 0, false, fmt.Errorf("read the daemon's greeting: %w", err)
	}
	protocol, digests, err := parseGreeting(line)
	if err != nil {
		return 0, false, err
	}
	protocol = min(protocol, o.Protocol)
	if protocol < MinProtocol {
		return 0, false, report.Fail(report.CodeProtocol,
			report.Because(fmt.Errorf("%w: the daemon speaks protocol %d, at least %d is needed", wire.ErrProtocol, protocol, MinProtocol), ErrOldProtocol),
			"rsync 3.0 or later is needed there")
	}
	asked := false
	for range maxMOTD {
		if line, err = readLine(r); err != nil {
			return 0, false, fmt.Errorf("wait for module %q: %w", m.Name, err)
		}
		switch {
		case line == "@RSYNCD: OK":
			return protocol, digests != nil, nil
		case line == "@RSYNCD: EXIT":
			return 0, false, &RefusedError{Line: "it listed its modules and closed"}
		case strings.HasPrefix(line, dialogError):
			return 0, false, refused(line)
		case strings.HasPrefix(line, "@RSYNCD: AUTHREQD "):
			if asked { // each answer is material to guess the password from
				return 0, false, fmt.Errorf("%w: the daemon asks for the password twice", wire.ErrProtocol)
			}
			asked = true
			if err := authenticate(w, o, m, digests, strings.TrimPrefix(line, "@RSYNCD: AUTHREQD ")); err != nil {
				return 0, false, err
			}
		case o.Sink.Message != nil:
			o.Sink.Message(wire.Printable([]byte(line)), false) // the message of the day
		}
	}
	return 0, false, fmt.Errorf("%w: more than %d lines before the module was accepted", wire.ErrProtocol, maxMOTD)
}

func refused(line string) error {
	text := wire.Printable([]byte(strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(line, dialogError), ":"))))
	err := error(&RefusedError{Line: text})
	hint := ""
	switch {
	case strings.HasPrefix(text, "auth failed"):
		err = fmt.Errorf("%w: %w", ErrAuth, err)
		hint = "check the user's name and the password file, and the daemon's auth users and secrets file"
	case strings.HasPrefix(text, "Unknown module"):
		err = report.Because(err, ErrNoModule)
		hint = "check the module's name against the daemon's rsyncd.conf"
	case strings.HasPrefix(text, "access denied"):
		err = report.Because(err, ErrDenied)
		hint = "check the module's hosts allow and hosts deny"
	case strings.HasPrefix(text, "chdir failed"), strings.HasPrefix(text, "chroot failed"):
		err = report.Because(err, ErrNoPath)
		hint = "is the module's path there, and mounted?"
	case strings.HasPrefix(text, "max connections"):
		err = fmt.Errorf("%w: %w", ErrBusy, err)
		hint = "the daemon serves as many clients as it may; it is worth trying again"
	}
	return report.Fail(report.CodeStart, err, hint)
}

// parseGreeting reads "@RSYNCD: 32.0 sha512 md5". digests is nil where none are listed.
func parseGreeting(line string) (protocol int, digests []string, err error) {
	rest, ok := strings.CutPrefix(line, "@RSYNCD: ")
	if !ok {
		if strings.HasPrefix(line, dialogError) {
			return 0, nil, refused(line)
		}
		return 0, nil, report.Fail(report.CodeStart,
			report.Because(fmt.Errorf("%w: the greeting is %q", wire.ErrProtocol, line), ErrNoDaemon), "is this an rsync daemon's port?")
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, nil, fmt.Errorf("%w: the greeting is %q", wire.ErrProtocol, line)
	}
	version, sub, _ := strings.Cut(fields[0], ".")
	protocol, err = strconv.Atoi(version)
	if err != nil || protocol < 0 || protocol > 10_000 {
		return 0, nil, fmt.Errorf("%w: the greeting is %q", wire.ErrProtocol, line)
	}
	if sub != "" && sub != "0" {
		protocol-- // a pre-release: what came before is what it is sure of
	}
	if len(fields) > 1 {
		digests = fields[1:]
	}
	return protocol, digests, nil
}

// authenticate answers a challenge (rsync 3.5.0 authenticate.c, auth_client).
func authenticate(w io.Writer, o *Options, m *Module, offered []string, challenge string) error {
	if m.Password == nil {
		return noPassword(m, errors.New("no password was given"))
	}
	password, err := m.Password()
	if err != nil {
		return noPassword(m, err)
	}
	name := "md5" // what daemons before 3.2.7 know
	if offered != nil {
		i := slices.IndexFunc(o.AuthDigests, func(d string) bool { return slices.Contains(offered, d) })
		if i < 0 {
			return report.Fail(report.CodeStart, fmt.Errorf("%w: the daemon knows none of our digests, only %q", ErrAuth, offered), "")
		}
		name = o.AuthDigests[i]
	}
	user := m.User
	if user == "" {
		user = "nobody"
	}
	h := authDigest(name)
	if h == nil {
		return fmt.Errorf("%w: unknown digest %q", ErrAuth, name)
	}
	io.WriteString(h, password)
	io.WriteString(h, challenge)
	if _, err := fmt.Fprintf(w, "%s %s\n", user, base64.RawStdEncoding.EncodeToString(h.Sum(nil))); err != nil {
		return fmt.Errorf("answer the daemon's challenge: %w", err)
	}
	return nil
}

func noPassword(m *Module, err error) error {
	return report.Fail(report.CodeStart, fmt.Errorf("%w: module %q wants a password: %w", ErrAuth, m.Name, err),
		"give --password-file=FILE, or set RSYNC_PASSWORD")
}

// authDigests are the digests for authentication, strongest first: servers from 3.5.0 on
// follow their own order, which is this one.
func authDigests() []string { return []string{"sha512", "sha256", "sha1", "md5", "md4"} }

func authDigest(name string) hash.Hash {
	switch name {
	case "sha512":
		return sha512.New()
	case "sha256":
		return sha256.New()
	case "sha1":
		return sha1.New()
	case "md5":
		return md5.New()
	case "md4":
		return md4.New()
	}
	return nil
}

// readLine reads one line of the dialog, without its end.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < maxLine {
		b, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		switch b {
		case '\n':
			return string(line), nil
		case '\r':
		case 0:
			return "", fmt.Errorf("%w: a NUL in a line of the daemon", wire.ErrProtocol)
		default:
			line = append(line, b)
		}
	}
	return "", fmt.Errorf("%w: a line of the daemon is longer than %d bytes", wire.ErrProtocol, maxLine)
}

// wildcards are the characters that make a daemon expand a component of a path.
const wildcards = "*?["

// Wild says whether the daemon takes the path for a pattern. Escaped it stands for itself,
// but only if it exists: a pattern that matches nothing is taken as it was written,
// backslashes included (rsync 3.5.0 util1.c, glob_expand).
func (m *Module) Wild() bool { return strings.ContainsAny(m.Path, wildcards) }

// moduleArgument is the path argument: the module's name, then the path. In components
// with wildcards these are escaped, and backslashes; in others a backslash is a backslash
// (rsync 3.5.0 util1.c, glob_match).
func moduleArgument(m *Module) string {
	components := strings.Split(m.Path, "/")
	for i, c := range components {
		if strings.ContainsAny(c, wildcards) {
			components[i] = strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(c)
		}
	}
	if strings.HasPrefix(m.Path, "-") {
		// Without its chroot a daemon takes the module's name off and what is left for an
		// option (seen with rsync 3.5.0, whose own client has the same trouble).
		components[0] = "./" + components[0]
	}
	return m.Name + "/" + strings.Join(components, "/")
}

// sendArguments writes the vectors. A path that holds " module/" would be split there by
// the daemon, so it travels as secluded arguments (-s): then nothing is split. So do options
// with a backslash, which daemons from 3.4.4 on take for an escape and older ones do not.
// behind is what follows the arguments, in the same segment.
func sendArguments(w io.Writer, args []string, m *Module, behind []byte) error {
	path := moduleArgument(m)
	var b []byte
	add := func(arg string) { b = append(append(b, arg...), 0) }
	if strings.Contains(path, " "+m.Name+"/") || slices.ContainsFunc(args, backslashed) {
		add(args[0])
		add("-s" + strings.TrimPrefix(args[1], "-"))
		add("")
		add("rsync")
		args = args[2:]
	}
	for _, a := range args {
		add(a)
	}
	add(path)
	add("")
	if _, err := w.Write(append(b, behind...)); err != nil {
		return fmt.Errorf("send arguments: %w", err)
	}
	return nil
}

func backslashed(arg string) bool { return strings.Contains(arg, `\`) }
