package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

const (
	// TimesOff is ours like Deleted: the push keeps no times, so that "T" stands where
	// "t" would.
	TimesOff = 1 << 21

	// symlinkTimeFailed shares its bit with ReportSize: symlinks have no size to report.
	symlinkTimeFailed = ReportSize
)

// String is the line that rsync -i prints for it, without the newline: "%i %n%L"
// (rsyncd.conf(5), "log format"; rsync 3.5.0 log.c, log_formatted).
func (it Item) String() string {
	var b strings.Builder
	if it.Flags&Deleted != 0 {
		b.WriteString("*deleting  ")
	} else {
		letters := it.letters()
		b.Write(letters[:])
	}
	b.WriteByte(' ')
	b.WriteString(Quote(it.Name))
	switch {
	case it.isType(unix.S_IFDIR):
		b.WriteByte('/')
	case it.Flags&Deleted != 0 || it.Link == "":
	case it.isType(unix.S_IFLNK) && it.Flags&XnameFollows == 0:
		b.WriteString(" -> " + Quote(it.Link))
	default:
		b.WriteString(" => " + Quote(it.Link))
	}
	return b.String()
}

// NameLine is the line that rsync -v prints for it: its name, or "deleting" and its name.
func (it Item) NameLine() string {
	line := it.String()[12:] // behind the eleven letters and a space
	if it.Flags&Deleted != 0 {
		return "deleting " + line
	}
	return line
}

func (it Item) isType(t uint32) bool { return it.Mode&unix.S_IFMT == t }

// letters are the eleven of %i: what is done, the type, and what differs.
func (it Item) letters() [11]byte {
	l := [11]byte{it.action(), it.typeLetter()}
	if it.Flags&IsNew != 0 {
		copy(l[2:], "+++++++++")
		return l
	}
	changed := false
	for i, a := range it.attributes() {
		l[2+i] = '.'
		if a != 0 {
			l[2+i], changed = a, true
		}
	}
	if !changed && l[0] != '<' && l[0] != '>' {
		copy(l[2:], "         ")
	}
	return l
}

func (it Item) action() byte {
	switch {
	case it.Flags&LocalChange != 0 && it.Flags&XnameFollows != 0:
		return 'h'
	case it.Flags&LocalChange != 0:
		return 'c'
	case it.Flags&Transfer == 0:
		return '.'
	case it.Local:
		return '>'
	}
	return '<'
}

func (it Item) typeLetter() byte {
	switch it.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return 'd'
	case unix.S_IFLNK:
		return 'L'
	case unix.S_IFCHR, unix.S_IFBLK:
		return 'D'
	case unix.S_IFIFO, unix.S_IFSOCK:
		return 'S'
	}
	return 'f'
}

// attributes are the letters for checksum, size, time, permissions, owner, group, access
// and creation time, ACL and extended attributes; 0 where nothing differs.
func (it Item) attributes() (l [9]byte) {
	set := func(i int, mask int, letter byte) {
		if it.Flags&mask != 0 {
			l[i] = letter
		}
	}
	set(0, ReportChange, 'c')
	set(2, ReportTime, 't')
	if it.isType(unix.S_IFLNK) {
		if it.Flags&ReportTime != 0 {
			set(2, symlinkTimeFailed|TimesOff, 'T')
		}
	} else {
		set(1, ReportSize, 's')
		if it.Flags&ReportTime != 0 {
			set(2, TimesOff, 'T')
		}
	}
	set(3, ReportPerms, 'p')
	set(4, ReportOwner, 'o')
	set(5, ReportGroup, 'g')
	set(6, ReportAtime, 'u')
	set(6, ReportCrtime, 'n')
	if it.Flags&ReportAtime != 0 {
		set(6, ReportCrtime, 'b')
	}
	set(7, ReportACL, 'a')
	set(8, ReportXattr, 'x')
	return l
}

// Quote makes a name fit for a line, as rsync does in a UTF-8 locale (log.c,
// filtered_fwrite): a byte that is no part of a UTF-8 character, or a control character
// other than tab, becomes \#ooo, and so does a backslash that would read as one of these.
// More than rsync it quotes DEL, the controls of U+0080 to U+009F, and what turns or breaks a line
// (U+202E and the like): terminals obey them.
func Quote(name string) string {
	if isPlain(name) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		switch {
		case r == '\\' && looksQuoted(name[i:]), r != '\t' && obeyed(r), r == utf8.RuneError && n == 1:
			for _, c := range []byte(name[i : i+n]) {
				fmt.Fprintf(&b, `\#%03o`, c)
			}
		default:
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}

func obeyed(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

func isPlain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

// looksQuoted says whether s begins like a quoted byte.
func looksQuoted(s string) bool {
	if len(s) < 5 || s[1] != '#' {
		return false
	}
	for _, c := range []byte(s[2:5]) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
