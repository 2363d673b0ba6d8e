package tree

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

const (
	tempMode  = 0o600 // nobody else reads a file that is not whole
	tempTries = 100   // names tried; each collides with 1 in 56 billion
	nameMax   = 255   // NAME_MAX of the usual file systems, bytes

	tempMark    = ".lockstep-"
	tempLetters = 6
	// tempAge is for temporary names of which no lock tells whether somebody is at work on them: they
	// live for microseconds.
	tempAge = time.Hour
)

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// withTempName calls create with temporary names for name until one is free. Where the file system has no
// names so long, nothing of name is in them.
func (d *Dir) withTempName(name string, create func(temp string) error) (string, error) {
	var err error
	stem := name
	for range tempTries {
		temp := tempName(stem)
		err = create(temp)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EEXIST):
			continue
		case errors.Is(err, unix.ENAMETOOLONG) && stem != "" && !errors.Is(d.access(name), unix.ENAMETOOLONG):
			stem = ""
			continue
		}
		return temp, err
	}
	return "", err
}

func (d *Dir) access(name string) error {
	return unix.Faccessat(d.fd, name, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW)
}

// tempName is ".name.lockstep-XXXXXX", which nobody takes for a file of somebody else, the name shortened
// where that is too long; like rsync (receiver.c, get_tmpname) not in the middle of a UTF-8 sequence, and
// with one leading dot for names that have one.
func tempName(name string) string {
	name = strings.TrimPrefix(name, ".")
	if most := nameMax - 1 - len(tempMark) - tempLetters; len(name) > most {
		for cut := 0; cut < utf8.UTFMax && !utf8.RuneStart(name[most]); cut++ {
			most--
		}
		name = name[:most]
	}
	b := make([]byte, 0, 1+len(name)+len(tempMark)+tempLetters)
	if name != "" {
		b = append(b, '.')
	}
	b = append(b, name...)
	b = append(b, tempMark...)
	for range tempLetters {
		b = append(b, letters[rand.IntN(len(letters))])
	}
	return string(b)
}

// isTemp says whether tempName makes such names.
func isTemp(name string) bool {
	end := len(name) - tempLetters
	return end > 0 && name[0] == '.' && strings.HasSuffix(name[:end], tempMark) && strings.Trim(name[end:], letters) == ""
}

// lock says that somebody is at work on the temporary file fd, for as long as it, or a duplicate of
// it, is open. Where a file system has no locks, age has to tell.
func lock(fd int) { _ = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }

// Leftovers lists the temporary names in d that killed pushes left behind. It takes the place of Names.
func (d *Dir) Leftovers() ([]string, error) {
	names, err := d.Names()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, name := range names {
		if isTemp(name) && d.isLeft(name) {
			left = append(left, name)
		}
	}
	return left, nil
}

// isLeft says whether nobody is at work on the temporary name.
func (d *Dir) isLeft(name string) bool {
	var st unix.Stat_t
	if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT) != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1 { // a link to a file has no lock
		if fd, err := d.OpenFile(name); err == nil {
			defer unix.Close(fd)
			switch err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); {
			case err == nil:
				return true
			case errors.Is(err, unix.EWOULDBLOCK):
				return false
			}
		}
	}
	return time.Since(time.Unix(st.Ctim.Unix())) > tempAge
}
