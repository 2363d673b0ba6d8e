package follow

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{size(0), "0 B"}, {size(1023), "1023 B"}, {size(1024), "1.0 KiB"}, {size(1 << 20), "1.0 MiB"}, {size(99<<20 + 1<<19), "99.5 MiB"}, {size(1000 << 20), "1.0 GiB"}, {size(300 << 30), "300 GiB"}, {size(1 << 62), "4.0 EiB"},
		{short(0), "0"}, {short(20 * time.Millisecond), "20ms"}, {short(1250 * time.Millisecond), "1.2s"}, {short(59900 * time.Millisecond), "59s"}, {short(61 * time.Second), "1m01s"},
		{short(2*time.Hour + 5*time.Minute), "2h05m"}, {short(76 * time.Hour), "3d04h"}, {short(5000 * time.Hour), "208d"},
		{long(0), "0s"}, {long(-time.Second), "0s"}, {long(61 * time.Second), "1m 1s"}, {long(90 * time.Minute), "1h 30m"}, {long(76 * time.Hour), "3d 4h"},
		{commas(0), "0"}, {commas(999), "999"}, {commas(-1000), "-1,000"}, {commas(1234567), "1,234,567"},
		{count(1, "path"), "1 path"}, {count(1200, "path"), "1,200 paths"},
		{clip("abcdef", 4, "…"), "abc…"}, {clip("abc", 3, "…"), "abc"}, {clip("日本語", 4, "…"), "日…"}, {clip("abc", 1, "…"), "."}, {clip("abc", 0, "…"), ""},
		{clipFront("a/b/c/file", 6, "…"), "…/file"}, {clipFront("日本語", 4, "…"), "…語"}, {clipFront("abc", 0, "…"), ""},
		{fmt.Sprint(percent(1, 0)), "0"}, {fmt.Sprint(percent(999, 1000)), "99"}, {fmt.Sprint(percent(5, 4)), "100"}, {fmt.Sprint(percent(-5, 4)), "0"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text        string
		width, most int
		want        []string
	}{
		{"", 10, 3, nil},
		{"one two three", 20, 3, []string{"one two three"}},
		{"one two three", 7, 3, []string{"one two", "three"}},
		{"one two three four", 7, 2, []string{"one two", "three…"}},
		{"onetwothree", 4, 9, []string{"onet", "woth", "ree"}},
		{"日本語", 4, 9, []string{"日本", "語"}},
		{"日", 1, 9, []string{"日"}},
	} {
		if diff := cmp.Diff(c.want, wrap(c.text, c.width, c.most, "…")); diff != "" {
			t.Errorf("%q in %d (-want +got):\n%s", c.text, c.width, diff)
		}
	}
}

func TestSaving(t *testing.T) {
	for _, c := range []struct {
		sent, literal, matched int64
		part                   int
		ok                     bool
	}{
		{0, 0, 0, 0, false},
		{100, 90, 910, 90, true},
		{120, 100, 0, 0, true}, // more than was there: the protocol's own
	} {
		part, ok := saving(&api.Totals{SentBytes: c.sent, LiteralBytes: c.literal, MatchedBytes: c.matched})
		if part != c.part || ok != c.ok {
			t.Errorf("%+v: got %d, %v", c, part, ok)
		}
	}
}
