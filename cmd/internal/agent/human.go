package agent

import (
	"strconv"
	"strings"
	"time"
)

// human is the level of --human-readable: 0 writes numbers as digits, 1 with a comma between
// groups of them, 2 sizes in units of 1000, and what is more in units of 1024.
type human int

// count writes a number of things, which has no units.
func (h human) count(n int64) string {
	if h == 0 {
		return strconv.FormatInt(n, 10)
	}
	return commas(n)
}

// size writes a number of bytes.
func (h human) size(n int64) string {
	if text, ok := h.units(float64(n)); ok {
		return text
	}
	return h.count(n)
}

// float writes a rate or a ratio.
func (h human) float(f float64) string {
	if text, ok := h.units(f); ok {
		return text
	}
	text := strconv.FormatFloat(f, 'f', 2, 64)
	whole, frac, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return text
	}
	return h.count(n) + "." + frac
}

// units writes what has one: 1234567 is 1.23M.
func (h human) units(f float64) (text string, ok bool) {
	base := 1000.0
	if h > 2 {
		base = 1024
	}
	if h < 2 || f < base {
		return "", false
	}
	unit := -1
	for ; f >= base && unit < len("KMGTP")-1; unit++ {
		f /= base
	}
	return strconv.FormatFloat(f, 'f', 2, 64) + "KMGTP"[unit:unit+1], true
}

// commas groups digits as rsync does since 3.1.
func commas(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rounded leaves of a duration what its reader looks at.
func rounded(d time.Duration) time.Duration {
	switch {
	case d < time.Second:
		return d.Round(10 * time.Microsecond)
	case d < time.Minute:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
