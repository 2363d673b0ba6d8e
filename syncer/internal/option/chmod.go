package option

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Chmod is the rules of --chmod, in order (rsync(1), --chmod; chmod(1)).
type Chmod []chmodRule

// Bits of st_mode. The language is about the lower twelve.
const (
	modeType  = 0o170000
	modeDir   = 0o040000
	modeLink  = 0o120000
	modeBits  = 0o7777
	modeExec  = 0o111
	setUser   = 0o4000
	setGroup  = 0o2000
	sticky    = 0o1000
	classUser = 0o100 // times 7 it is the three bits of a class
	classGrp  = 0o010
	classOth  = 0o001
)

// chmodRule is one item between commas.
type chmodRule struct {
	dirsOnly, filesOnly bool
	op                  byte   // '+', '-', '=', or '0' for an octal mode
	classes             uint32 // sum of class*: whom it is about
	bits                uint32 // what it gives or takes, the special bits too
	copyFrom            uint32 // class* whose bits are given or taken; 0: bits
	masked              uint32 // what the umask keeps from a rule without classes
	special             uint32 // special bits that "=" clears
	ifExec              bool   // X: execution for directories, and for who has it already
}

// ParseChmod reads one --chmod option. Rules of several are appended to one another. Of a
// rule without classes ("+w") the process's umask has a say, as in chmod(1).
func ParseChmod(s string) (Chmod, error) {
	var c Chmod
	for item := range strings.SplitSeq(s, ",") {
		r, err := parseChmodRule(item)
		if err != nil {
			return nil, fmt.Errorf("mode %q: %w", item, err)
		}
		c = append(c, r)
	}
	return c, nil
}

func parseChmodRule(item string) (chmodRule, error) {
	var r chmodRule
	var setID uint32 // that belongs to the classes named
	for i := 0; i < len(item); i++ {
		switch ch := item[i]; ch {
		case 'D':
			r.dirsOnly = true
		case 'F':
			r.filesOnly = true
		case 'u':
			r.classes |= classUser
			setID |= setUser
		case 'g':
			r.classes |= classGrp
			setID |= setGroup
		case 'o':
			r.classes |= classOth
		case 'a':
			r.classes |= classUser | classGrp | classOth
			setID |= setUser | setGroup
		case '+', '-', '=':
			r.op = ch
			if r.dirsOnly && r.filesOnly {
				return r, errors.New("nothing is a directory and a file: D or F")
			}
			return r, r.parsePerms(item[i+1:], setID)
		default:
			return r, r.parseOctal(item[i:])
		}
	}
	return r, errors.New("+, - or =, or an octal number is missing")
}

func (r *chmodRule) parseOctal(s string) error {
	n, err := strconv.ParseUint(s, 8, 32)
	switch {
	case err != nil:
		return fmt.Errorf("%q is neither +, - or = nor an octal number", s)
	case r.classes != 0:
		return errors.New("an octal number stands for all of u, g and o")
	case r.dirsOnly && r.filesOnly:
		return errors.New("nothing is a directory and a file: D or F")
	case n > modeBits:
		return errors.New("the octal number is greater than 7777")
	}
	r.op, r.bits = '0', uint32(n)
	return nil
}

// parsePerms reads what stands behind the operator. "s" without a class that has such a
// bit is the user's (rsync 3.5.0 chmod.c, parse_chmod).
func (r *chmodRule) parsePerms(s string, setID uint32) error {
	var perms, special uint32
	for i := range len(s) {
		switch ch := s[i]; ch {
		case 'r':
			perms |= 4
		case 'w':
			perms |= 2
		case 'x':
			perms |= 1
		case 'X':
			perms |= 1
			r.ifExec = true
		case 's':
			special |= setID
			if setID == 0 {
				special = setUser // and a "t" before it is forgotten
			}
		case 't':
			special |= sticky
		case 'u', 'g', 'o':
			if len(s) > 1 {
				return errors.New("permissions are copied from one class, and nothing else beside it")
			}
			r.copyFrom = map[byte]uint32{'u': classUser, 'g': classGrp, 'o': classOth}[ch]
		default:
			return fmt.Errorf("%q is none of rwxXst", ch)
		}
	}
	if r.classes == 0 {
		r.classes = classUser | classGrp | classOth
		r.masked = umask()
	}
	r.bits = r.classes*perms | special
	// "=" clears special bits only where it speaks of them, or copies (rsync 3.5.0 chmod.c).
	switch {
	case r.copyFrom != 0:
		r.special = setUser*bit(r.classes&classUser != 0) | setGroup*bit(r.classes&classGrp != 0) | sticky*bit(r.classes&classOth != 0)
	case special != 0:
		r.special = setID
	}
	return nil
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// umask is the process's: asking for it in another way would change it meanwhile.
func umask() uint32 {
	const usual = 0o022
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return usual
	}
	_, rest, _ := strings.Cut(string(data), "\nUmask:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(strings.TrimSpace(line), 8, 32)
	if err != nil {
		return usual
	}
	return uint32(n)
}

// Apply is what the rules make of a source's st_mode; its type stays. A symlink's mode says nothing.
func (c Chmod) Apply(mode uint32) uint32 {
	if mode&modeType == modeLink {
		return mode
	}
	wasExec := mode&modeExec != 0
	for i := range c {
		mode = c[i].apply(mode, wasExec)
	}
	return mode
}

func (r *chmodRule) apply(mode uint32, wasExec bool) uint32 {
	isDir := mode&modeType == modeDir
	if r.dirsOnly && !isDir || r.filesOnly && isDir {
		return mode
	}
	bits := r.bits
	if r.copyFrom != 0 {
		bits = r.classes * (mode / r.copyFrom & 7)
	}
	bits &^= r.masked
	if r.ifExec && r.op != '-' && !isDir && !wasExec {
		bits &^= modeExec
	}
	switch r.op {
	case '+':
		return mode | bits
	case '-':
		return mode &^ bits
	case '=':
		return mode&^(r.classes*7|r.special) | bits
	}
	return mode&modeType | bits
}
