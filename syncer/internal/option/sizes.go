package option

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MaxBlockSize is the greatest block of protocols 30 and later (rsync 3.5.0 rsync.h, MAX_BLOCK_SIZE).
const MaxBlockSize = 128 << 10

// ParseSize reads a size as rsync(1) has them under --max-size: a number that may have a
// fraction, a unit that may be left out, and +1 or -1. K or KiB is 1024, KB is 1000; B, M, G, T
// and P likewise. A number without a unit has the default one, as 'B' or 'K'. The result is in bytes.
func ParseSize(s string, defaultUnit byte) (int64, error) {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(s)
	}
	number, rest := s[:end], s[end:]
	unit, rest, err := parseUnit(rest, defaultUnit)
	if err != nil {
		return 0, err
	}
	offset := int64(0)
	switch rest {
	case "":
	case "+1":
		offset = 1
	case "-1":
		offset = -1
	default:
		return 0, errors.New("it is no size: write 700, 1.5M, 20KB or 2G+1")
	}
	n, err := scaled(number, unit)
	switch {
	case err != nil:
		return 0, err
	case n+offset < 0:
		return 0, errors.New("it is negative")
	}
	return n + offset, nil
}

// parseUnit reads what stands behind the number; rest is what comes after the unit.
func parseUnit(s string, defaultUnit byte) (unit int64, rest string, err error) {
	letter, base := defaultUnit, int64(1024)
	if s != "" && s[0] != '+' && s[0] != '-' {
		letter, s = s[0], s[1:]
		switch {
		case len(s) >= 2 && strings.EqualFold(s[:2], "ib"):
			s = s[2:]
		case s != "" && (s[0] == 'b' || s[0] == 'B'):
			base, s = 1000, s[1:]
		}
	}
	power := strings.IndexByte("BKMGTP", letter&^0x20)
	if power < 0 {
		return 0, "", fmt.Errorf("%q is no unit: B, K, M, G, T or P, with B behind it for powers of 1000", letter)
	}
	unit = 1
	for range power {
		unit *= base
	}
	return unit, s, nil
}

// scaled is number times unit, rounded down.
func scaled(number string, unit int64) (int64, error) {
	const tooLarge = "it is too large"
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > (math.MaxInt64-1)/unit {
			return 0, errors.New(tooLarge)
		}
		return n * unit, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && f*float64(unit) >= math.MaxInt64:
		return 0, errors.New(tooLarge)
	case err != nil:
		return 0, fmt.Errorf("%q is no number", number)
	}
	return int64(f * float64(unit)), nil
}

// ParseRate reads --bwlimit: KiB a second where no unit is given, rounded to whole KiB as
// rsync does (rsync 3.5.0 options.c). The result is in bytes a second; 0 is no limit.
func ParseRate(s string) (int64, error) {
	n, err := ParseSize(s, 'K')
	if err != nil {
		return 0, err
	}
	if n > 0 && n < 512 {
		return 0, errors.New("it is too small: at least 512 bytes a second, or 0 for no limit")
	}
	return (n + 512) / 1024 * 1024, nil
}

// ParseBlockSize reads --block-size, in bytes; 0 leaves it to the file's length.
func ParseBlockSize(s string) (int, error) {
	n, err := ParseSize(s, 'B')
	if err == nil && n > MaxBlockSize {
		err = fmt.Errorf("it is too large: at most %d", MaxBlockSize)
	}
	return int(n), err
}
