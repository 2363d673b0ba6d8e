package syncer

import "github.com/lockstep-sync/lockstep/syncer/internal/option"

// When says at what point of a push --delete deletes; the zero value is rsync's default.
type When = option.When

const (
	DeleteDuring = option.During
	DeleteBefore = option.Before
	DeleteDelay  = option.Delay
	DeleteAfter  = option.After
)

// Chmod is the rules of --chmod.
type Chmod = option.Chmod

// The functions below read options that have a small language of their own, as rsync(1) has it.

// ParseChmod reads one --chmod option. Rules of several are appended to one another.
func ParseChmod(s string) (Chmod, error) { return option.ParseChmod(s) }

// ParseSize reads a size in bytes, as 700, 1.5M, 20KB or 2G-1.
func ParseSize(s string) (int64, error) { return option.ParseSize(s, 'B') }

// ParseRate reads --bwlimit, by default in KiB a second; it gives bytes a second.
func ParseRate(s string) (int64, error) { return option.ParseRate(s) }

// ParseBlockSize reads --block-size.
func ParseBlockSize(s string) (int, error) { return option.ParseBlockSize(s) }

// CheckIDMap says what is wrong with a --usermap or --groupmap.
func CheckIDMap(s string) error {
	_, err := option.ParseIDMap(s)
	return err
}

// CheckSockopts says what is wrong with --sockopts.
func CheckSockopts(s string) error {
	_, err := option.ParseSockopts(s)
	return err
}
