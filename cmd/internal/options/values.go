package options

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// parsed reads a value with a language of its own.
func parsed[T any](to *T, parse func(string) (T, error)) func(string) error {
	return func(v string) (err error) {
		*to, err = parse(v)
		if err != nil {
			return fmt.Errorf("%q: %w", v, err)
		}
		return nil
	}
}

// number reads a whole number, which may be negative.
func number(n *int) func(string) error {
	return func(v string) error {
		parsed, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number", v)
		}
		*n = int(parsed)
		return nil
	}
}

// seconds reads rsync's times: whole seconds, 0 for none; 1m30s is understood too.
func seconds(d *time.Duration, given *bool) func(string) error {
	return func(v string) error {
		*given = true
		if n, err := strconv.ParseInt(v, 10, 32); err == nil && n >= 0 {
			*d = time.Duration(n) * time.Second
			return nil
		}
		parsed, err := time.ParseDuration(v)
		if err != nil || parsed < 0 {
			return fmt.Errorf("%q is no number of seconds", v)
		}
		*d = parsed
		return nil
	}
}

// duration reads our own times, which are too short for rsync's whole seconds.
func duration(d *time.Duration) func(string) error {
	return func(v string) error {
		parsed, err := time.ParseDuration(v)
		if err != nil || parsed < 0 {
			return fmt.Errorf("%q is no time: write 5ms, 1.5s or 2m", v)
		}
		*d = parsed
		return nil
	}
}

// fromFile reads a file of rules. As in rsync it is not the command line that is at fault
// where there is no such file: the exit code is another (rsync 3.5.0 exclude.c, parse_filter_file).
func fromFile(read func(io.Reader, string) error) func(string) error {
	return func(name string) error {
		if name == "-" {
			return read(os.Stdin, "standard input")
		}
		f, err := os.Open(name)
		if err != nil {
			return &syncer.Failure{Code: syncer.CodeFile, Err: Unreadable(name, err)}
		}
		defer f.Close()
		return read(f, name)
	}
}

// Unreadable says why a file cannot be read, and its name once.
func Unreadable(name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("read %q: %w", name, err)
}
