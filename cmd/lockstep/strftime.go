package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// simpleTimes are the conversions of strftime(3), in the C locale, that time.Format has a layout for.
var simpleTimes = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006",
	'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04",
	'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06",
	'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
	'+': "Mon Jan _2 15:04:05 MST 2006",
}

// otherTimes are those that have to be reckoned.
var otherTimes = map[byte]func(time.Time) string{
	'%': func(time.Time) string { return "%" },
	'n': func(time.Time) string { return "\n" },
	't': func(time.Time) string { return "\t" },
	'C': func(t time.Time) string { return fmt.Sprintf("%02d", t.Year()/100) },
	'j': func(t time.Time) string { return fmt.Sprintf("%03d", t.YearDay()) },
	'k': func(t time.Time) string { return fmt.Sprintf("%2d", t.Hour()) },
	'l': func(t time.Time) string { return fmt.Sprintf("%2d", (t.Hour()+11)%12+1) },
	's': func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
	'u': func(t time.Time) string { return strconv.Itoa((int(t.Weekday())+6)%7 + 1) },
	'w': func(t time.Time) string { return strconv.Itoa(int(t.Weekday())) },
	'U': func(t time.Time) string { return fmt.Sprintf("%02d", (t.YearDay()+6-int(t.Weekday()))/7) },
	'W': func(t time.Time) string { return fmt.Sprintf("%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7) },
	'G': func(t time.Time) string { y, _ := t.ISOWeek(); return strconv.Itoa(y) },
	'g': func(t time.Time) string { y, _ := t.ISOWeek(); return fmt.Sprintf("%02d", y%100) },
	'V': func(t time.Time) string { _, w := t.ISOWeek(); return fmt.Sprintf("%02d", w) },
}

// checkTime refuses conversions that strftime(3) does not have, and its flags and modifiers.
func checkTime(format string) error {
	for {
		_, rest, ok := strings.Cut(format, "%")
		if !ok || rest == "" {
			return nil
		}
		if simpleTimes[rest[0]] == "" && otherTimes[rest[0]] == nil {
			return fmt.Errorf("%q is not known", "%"+rest[:1])
		}
		format = rest[1:]
	}
}

// appendTime is strftime(3). A percent sign at the end stands for itself.
func appendTime(b []byte, t time.Time, format string) []byte {
	for {
		text, rest, ok := strings.Cut(format, "%")
		b = append(b, text...)
		if !ok {
			return b
		}
		if rest == "" {
			return append(b, '%')
		}
		if layout := simpleTimes[rest[0]]; layout != "" {
			b = t.AppendFormat(b, layout)
		} else if f := otherTimes[rest[0]]; f != nil {
			b = append(b, f(t)...)
		}
		format = rest[1:]
	}
}
