package syncer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// What words of others, or the place where an error was met, tell. They never show: see report.Because.
var (
	errUnreachable = errors.New("the target could not be reached")
	errReplaced    = errors.New("another directory stands there")
	errSource      = errors.New("the source could not be read")
	errMounts      = errors.New("the mounts could not be read")

	errHostKeyChanged = errors.New("the host's key changed")
	errHostKeyUnknown = errors.New("the host's key is unknown")
	errKeyRefused     = errors.New("the user's key was refused")
	errNoRsync        = errors.New("there is no rsync")
	errOldRsync       = errors.New("the rsync is too old for an option")
)

// located is an error of a push with the names of what it was about.
type located struct {
	error
	source string
	target Target
	addr   string // of a daemon
}

func (l *located) Unwrap() error { return l.error }

// Classify says what it takes to get over an error that ended a push, and what an operator can do about it: a
// clause without a full stop.
func Classify(err error) (Class, string) {
	d := diagnose(err)
	remedy := d.remedy
	if at, shell := new(located), d.shell; shell != "" && errors.As(err, &at) && at.target.Shell() {
		remedy = shell
	}
	return d.class, fill(remedy, err)
}

func diagnose(err error) *diagnosis {
	for i := range diagnoses {
		if diagnoses[i].fits(err) {
			return &diagnoses[i]
		}
	}
	d := &diagnosis{class: ClassTransient, remedy: "it is tried again; if it stays, the error says more"}
	var f *Failure
	if errors.As(err, &f) {
		d.remedy = cmp.Or(f.Hint, d.remedy)
	}
	return d
}

// fill puts names into a remedy.
func fill(remedy string, err error) string {
	at := &located{source: "the source"}
	errors.As(err, &at)
	host, port := at.target.Host, ""
	if h, p, err := net.SplitHostPort(at.addr); err == nil {
		host, port = h, p
	}
	option := ""
	if o := new(sender.OptionError); errors.As(err, &o) {
		option = o.Option
	}
	return strings.NewReplacer(
		"{host}", cmp.Or(host, "the host"),
		"{port}", cmp.Or(port, "its port"),
		"{addr}", cmp.Or(at.addr, host, "the host"),
		"{module}", cmp.Or(at.target.Module, "the module"),
		"{user}", cmp.Or(at.target.User, "the user"),
		"{target}", report.Quote(cmp.Or(at.target.String(), "the target")),
		"{path}", report.Quote(cmp.Or(at.target.Path, "the path")),
		"{source}", report.Quote(at.source),
		"{option}", option,
	).Replace(remedy)
}

// diagnosis is one row of the table: what an error is, and what that means.
type diagnosis struct {
	name   string // a section of docs/troubleshooting.md
	fits   func(error) bool
	class  Class
	remedy string
	shell  string // the remedy where the target is behind a remote shell; "": the same
}

// diagnoses are all errors that a push can end with; the first that fits counts.
var diagnoses = []diagnosis{
	{name: "told to end", fits: is(context.Canceled, errCode(CodeSignal)), class: ClassTransient,
		remedy: "it was told to end; what is pending is sent at the next start"},

	{name: "source gone", fits: is(ErrRoot), class: ClassOperator,
		remedy: "mount {source}, or put the directory back; if another one is meant to stand there, restart lockstep"},
	{name: "source empty", fits: is(ErrEmptySource), class: ClassOperator,
		remedy: "mount what belongs at {source}; --allow-empty says that it is meant to be empty"},
	{name: "mounts unreadable", fits: is(errMounts), class: ClassOperator,
		remedy: "make /proc/self/mountinfo readable: is /proc mounted? --one-file-system or no --delete does without it"},
	{name: "out of files", fits: is(unix.EMFILE, unix.ENFILE), class: ClassOperator,
		remedy: "raise the limit of open files (LimitNOFILE= of the unit, ulimit -n, sysctl fs.file-max)"},
	{name: "out of memory", fits: is(unix.ENOMEM), class: ClassTransient,
		remedy: "free memory on this machine; it is tried again"},
	{name: "source unreadable", fits: is(errSource), class: ClassOperator,
		remedy: "make {source} readable for the user that lockstep runs as"},

	{name: "authentication", fits: is(sender.ErrAuth), class: ClassConfiguration,
		remedy: "check the name {user} and the password file (--password-file=FILE) here, and auth users and secrets file of module {module} on {host}"},
	{name: "max connections", fits: is(sender.ErrBusy), class: ClassTransient,
		remedy: "raise max connections of module {module} on {host}, or wait until other clients are done"},
	{name: "unknown module", fits: is(sender.ErrNoModule), class: ClassConfiguration,
		remedy: "check the name {module} against the sections of rsyncd.conf on {host}"},
	{name: "access denied", fits: is(sender.ErrDenied), class: ClassConfiguration,
		remedy: "add this machine to hosts allow of module {module} in rsyncd.conf on {host}"},
	{name: "read only module", fits: is(sender.ErrReadOnly), class: ClassConfiguration,
		remedy: "set read only = no for module {module} in rsyncd.conf on {host}, and give {user} the right to write (:rw)"},
	{name: "module path missing", fits: is(sender.ErrNoPath), class: ClassOperator,
		remedy: "mount or make the directory that is the path of module {module} on {host}"},
	{name: "rsync too old", fits: is(sender.ErrOldProtocol, errOldRsync), class: ClassConfiguration,
		remedy: "install rsync 3.0 or later on {host}, better 3.2.7; where an option is named, leave it out"},
	{name: "no rsync daemon", fits: is(sender.ErrNoDaemon), class: ClassConfiguration,
		remedy: "something else than an rsync daemon answers at {addr}: check host and port"},
	{name: "option refused", fits: as[*sender.OptionError](), class: ClassConfiguration,
		remedy: "leave out --{option}, or take it off refuse options of module {module} in rsyncd.conf on {host}"},
	{name: "refused by the daemon", fits: as[*sender.RefusedError](), class: ClassConfiguration,
		remedy: "the log of the daemon on {host} says why it refuses module {module}"},

	{name: "host key changed", fits: is(errHostKeyChanged), class: ClassOperator,
		remedy: "find out why {host} has another key; if it is right, run ssh-keygen -R {host} and log in once by hand"},
	{name: "host key unknown", fits: is(errHostKeyUnknown), class: ClassOperator,
		remedy: "log in to {host} once by hand, as the user that lockstep runs as, so that its key is in known_hosts"},
	{name: "key refused", fits: is(errKeyRefused), class: ClassOperator,
		remedy: "put our public key into authorized_keys of {user} on {host}; the private one must be in the agent or without a passphrase"},
	{name: "no rsync there", fits: is(errNoRsync), class: ClassConfiguration,
		remedy: "install rsync on {host}, or say where it is with --rsync-path"},
	{name: "noisy shell", fits: is(sender.ErrUnclean), class: ClassConfiguration,
		remedy: "the start-up files of {user}'s shell on {host} must write nothing for a command without a terminal"},
	{name: "no remote shell", fits: is(exec.ErrNotFound, errCode(report.CodeIPC)), class: ClassConfiguration,
		remedy: "install ssh on this machine, or say with -e which remote shell to use"},

	{name: "target not mounted", fits: is(errReplaced), class: ClassOperator,
		remedy: "mount the file system of {target}; if another directory is meant to stand there, restart lockstep"},
	{name: "no such host", fits: noSuchHost, class: ClassConfiguration,
		remedy: "check the name {host}, in DNS or /etc/hosts: it does not exist"},
	{name: "DNS fails", fits: as[*net.DNSError](), class: ClassTransient,
		remedy: "the name {host} could not be looked up: check /etc/resolv.conf, and that its servers answer"},
	{name: "connection refused", fits: is(unix.ECONNREFUSED), class: ClassTransient,
		remedy: "start rsync --daemon on {host}, listening on port {port}, and let a firewall pass it",
		shell:  "start sshd on {host}, on the port that ssh uses, and let a firewall pass it"},
	{name: "forbidden here", fits: both(is(errUnreachable), is(unix.EPERM, unix.EACCES)), class: ClassConfiguration,
		remedy: "a firewall or a sandbox on this machine forbids connections to {addr}"},
	{name: "no route", fits: is(unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.EADDRNOTAVAIL), class: ClassTransient,
		remedy: "check that {host} is up, and the network between it and this machine"},
	{name: "no connection in time", fits: is(unix.ETIMEDOUT, errCode(CodeConTimeout)), class: ClassTransient,
		remedy: "check that {host} is up and a firewall lets {addr} pass; --contimeout says how long is waited"},
	{name: "silence", fits: is(wire.ErrTimeout, os.ErrDeadlineExceeded, errCode(CodeTimeout)), class: ClassTransient,
		remedy: "{host} is silent: check its load, and the network; --timeout says how long is waited"},
	{name: "connection lost", fits: is(unix.ECONNRESET, unix.ECONNABORTED, unix.EPIPE, io.EOF, io.ErrUnexpectedEOF), class: ClassTransient,
		remedy: "the rsync on {host} or the network ended the connection: its log says whether it was the rsync"},

	{name: "no space", fits: is(unix.ENOSPC), class: ClassOperator,
		remedy: "free space or inodes on the file system of {target}"},
	{name: "quota", fits: is(unix.EDQUOT), class: ClassOperator,
		remedy: "raise the quota that holds for {target}, or free space below it"},
	{name: "read-only file system", fits: is(unix.EROFS), class: ClassOperator,
		remedy: "the file system of {target} is read-only: see the kernel's log for errors, then mount -o remount,rw"},
	{name: "target missing", fits: is(unix.ENOENT, unix.ENOTDIR), class: ClassOperator,
		remedy: "make or mount the directory {target}; only its last component is made, --mkpath makes all"},
	{name: "permission", fits: is(unix.EACCES, unix.EPERM), class: ClassOperator,
		remedy: "let the user that writes to {target} write there: owner, mode, and what a sandbox allows"},
	{name: "I/O error", fits: is(unix.EIO, unix.ESTALE, unix.ENODEV, unix.ENXIO, unix.ENOTCONN), class: ClassOperator,
		remedy: "the disk or the network file system of {target} fails: see the kernel's log, check it, mount it again"},

	{name: "protocol error", fits: is(wire.ErrProtocol), class: ClassOperator,
		remedy: "what {host} sent is not what rsync sends: check what runs there, and what stands between"},
	{name: "gave up", fits: as[*wire.ExitError](), class: ClassOperator,
		remedy: "see what {host} said before, and the log of the rsync there"},
	{name: "usage", fits: is(errCode(CodeUsage), errCode(CodeUnsupported)), class: ClassConfiguration,
		remedy: "change the options as the error says"},
}

// errCode fits the failures with that exit code.
type errCode Code

func (c errCode) Error() string { return "exit code" }

// is fits what any of kinds is, or has for its exit code.
func is(kinds ...error) func(error) bool {
	return func(err error) bool {
		for _, kind := range kinds {
			if code, ok := kind.(errCode); ok && hasCode(err, Code(code)) || !ok && errors.Is(err, kind) {
				return true
			}
		}
		return false
	}
}

func hasCode(err error, code Code) bool {
	var f *Failure
	return errors.As(err, &f) && f.Code == code
}

func as[T error]() func(error) bool {
	return func(err error) bool {
		var t T
		return errors.As(err, &t)
	}
}

func both(a, b func(error) bool) func(error) bool {
	return func(err error) bool { return a(err) && b(err) }
}

func noSuchHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
