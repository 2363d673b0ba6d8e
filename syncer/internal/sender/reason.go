package sender

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// OptionError says that the peer is configured to refuse an option, named without its dashes.
type OptionError struct{ Option string }

func (e *OptionError) Error() string { return fmt.Sprintf("--%s is refused", e.Option) }

// sysError ends a line of rsync's about a system call that failed (rsync 3.5.0 log.c, rsyserr).
var sysError = regexp.MustCompile(`\((\d{1,3})\)\s*$`)

// Reason is what one of rsync's lines for people means to a program: ErrReadOnly, or the system error
// that it ends with; nil where it is neither.
func Reason(line string) error {
	if strings.Contains(line, "module is read only") { // rsync 3.5.0 main.c, do_server_recv
		return ErrReadOnly
	}
	m := sysError.FindStringSubmatch(line)
	if m == nil || !strings.HasPrefix(line, "rsync: ") {
		return nil
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 {
		return nil
	}
	return unix.Errno(n)
}

// because gives the peer's exit, wherever the push was, the reason that it told before: its last word on it, where
// the exit is one about files, or about what it does not do at all.
func (p *push) because(err error) error {
	var exit *wire.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if p.res.Refused != "" {
		return report.Because(exit, &OptionError{p.res.Refused})
	}
	switch report.Code(exit.Code) {
	case report.CodeUsage, report.CodeSelect, report.CodeFile:
		return report.Because(exit, p.reason)
	}
	return exit
}

// heard notes what a message of the peer's means.
func (p *push) heard(m wire.Message) {
	if reason := Reason(string(m.Data)); reason != nil && m.Tag != wire.TagInfo {
		p.reason = reason
	}
}
