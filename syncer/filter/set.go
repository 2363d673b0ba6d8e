package filter

import "strings"

// byteSet is the set of bytes that a bracket expression matches.
type byteSet [4]uint64

func (s *byteSet) has(c byte) bool { return s[c/64]&(1<<(c%64)) != 0 }
func (s *byteSet) add(c byte)      { s[c/64] |= 1 << (c % 64) }
func (s *byteSet) remove(c byte)   { s[c/64] &^= 1 << (c % 64) }

// addRange adds lo to hi, both included; nothing if lo is above hi.
func (s *byteSet) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.add(byte(c))
	}
}

// addClass adds what the named class of the C locale holds, and reports whether there is such a class.
func (s *byteSet) addClass(name string) bool {
	switch name {
	case "alnum":
		return s.addClass("alpha") && s.addClass("digit")
	case "alpha":
		return s.addClass("lower") && s.addClass("upper")
	case "blank":
		s.add(' ')
		s.add('\t')
	case "cntrl":
		s.addRange(0, 0x1f)
		s.add(0x7f)
	case "digit":
		s.addRange('0', '9')
	case "graph":
		s.addRange('!', '~')
	case "lower":
		s.addRange('a', 'z')
	case "print":
		s.addRange(' ', '~')
	case "punct":
		s.addRange('!', '/')
		s.addRange(':', '@')
		s.addRange('[', '`')
		s.addRange('{', '~')
	case "space":
		s.add(' ')
		s.addRange('\t', '\r')
	case "upper":
		s.addRange('A', 'Z')
	case "xdigit":
		s.addRange('0', '9')
		s.addRange('a', 'f')
		s.addRange('A', 'F')
	default:
		return false
	}
	return true
}

// parseSet reads a bracket expression whose "[" stands before p[i], and returns it with the position of
// its closing "]", or nil if it is broken; such a pattern matches nothing. A set never matches a slash,
// negated or not. Source: rsync 3.5.0 lib/wildmatch.c, dowild.
func parseSet(p string, i int) (*byteSet, int) {
	set := new(byteSet)
	negated := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negated {
		i++
	}
	// A "]" that comes first is a member. low is the last single member, where a range may begin; 0
	// means none, which is safe because neither patterns nor names hold NUL.
	low := byte(0)
	for first := true; first || i >= len(p) || p[i] != ']'; first = false {
		if i >= len(p) {
			return nil, 0
		}
		var ok bool
		if low, i, ok = set.parseMember(p, i, low); !ok {
			return nil, 0
		}
	}
	if negated {
		for w := range set {
			set[w] = ^set[w]
		}
	}
	set.remove('/')
	return set, i
}

// parseMember adds the member that begins at p[i]. It returns the new low and the position behind it.
func (s *byteSet) parseMember(p string, i int, low byte) (byte, int, bool) {
	switch {
	case p[i] == '\\':
		i++
		if i == len(p) {
			return 0, 0, false
		}
	case p[i] == '-' && low != 0 && i+1 < len(p) && p[i+1] != ']':
		i++
		if p[i] == '\\' {
			i++
		}
		if i == len(p) {
			return 0, 0, false
		}
		s.addRange(low, p[i])
		return 0, i + 1, true
	case strings.HasPrefix(p[i:], "[:"):
		end := strings.IndexByte(p[i+2:], ']')
		if end < 0 {
			return 0, 0, false
		}
		// Without ":]" the bracket is a plain member.
		if name, found := strings.CutSuffix(p[i+2:i+2+end], ":"); found {
			return 0, i + 2 + end + 1, s.addClass(name)
		}
	}
	s.add(p[i])
	return p[i], i + 1, true
}
