package filter

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrSyntax is wrapped by the error for a rule that cannot be understood, or that no name can match.
var ErrSyntax = errors.New("bad filter rule")

// Error says which rule cannot be used and why.
type Error struct {
	Source string // an option ("--filter"), or a file and line ("rules.txt:12")
	Rule   string // as written, maybe shortened
	Reason string // what is wrong, and what to do
	Err    error  // ErrSyntax, or the cause
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: filter rule %s: %s", e.Source, quote(e.Rule), e.Reason)
}

// Unwrap makes errors.Is see the kind of the error.
func (e *Error) Unwrap() error { return e.Err }

// origin is where a rule was read: a file's line, or an option if line is 0.
type origin struct {
	name string
	line int
}

func (o origin) String() string {
	if o.line == 0 {
		return o.name
	}
	return fmt.Sprintf("%s:%d", o.name, o.line)
}

// fault is an Error before source and rule are known.
type fault struct {
	reason string
	err    error
}

func (f *fault) Error() string { return f.reason }
func (f *fault) Unwrap() error { return f.err }

func syntaxf(format string, args ...any) *fault {
	return &fault{reason: fmt.Sprintf(format, args...), err: ErrSyntax}
}

// maxQuoted keeps a message readable when the rule is not.
const maxQuoted = 200

func quote(rule string) string {
	if len(rule) > maxQuoted {
		return strconv.Quote(rule[:maxQuoted]) + "..."
	}
	return strconv.Quote(rule)
}
