package option

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestSkip(t *testing.T) {
	for _, tt := range []struct {
		list, name string
		want       bool
	}{
		{"gz/jpg/mp[34]", "a.gz", true},
		{"gz/jpg/mp[34]", "dir.x/a.JPG", true},
		{"gz/jpg/mp[34]", "a.mp3", true},
		{"gz/jpg/mp[34]", "a.Mp4", true},
		{"gz/jpg/mp[34]", "a.mp5", false},
		{"gz/jpg/mp[34]", "a.mp", false},
		{"gz/jpg/mp[34]", "a.mp33", false},
		{"GZ//", "a.gz", true},
		{"gz", "a.tar.gz", true},
		{"tar.gz", "a.tar.gz", false}, // only what follows the last dot counts
		{"gz", "agz", false},
		{"gz", ".gz", false},
		{"gz", "d.gz/a", false},
		{"gz", "a.gz.", false},
		{"[abc][12]", "x.b2", true},
		{"[abc][12]", "x.b3", false},
		{"a[bc", "x.a[bc", true},
		{"[]", "x.[]", true},
		{"*", "x.y", false},
		{"?", "x.y", false},
		{"", "x.gz", false},
		{strings.Repeat("a", 40), "x." + strings.Repeat("a", 32), true},
	} {
		if got := ParseSkip(tt.list).Match(tt.name); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.list, tt.name, got)
		}
	}
}

func TestSkipOfSet(t *testing.T) {
	s := Defaults()
	for name, want := range map[string]bool{"a.mp4": true, "b.zst": true, "c.3g2": true, "d.html": false, "e": false} {
		if s.Skip().Match(name) != want {
			t.Errorf("the default matches %q: %v", name, !want)
		}
	}
	s.SkipGiven = true
	if s.Skip().Match("a.mp4") {
		t.Error("an empty list skips a.mp4")
	}
}

// The default list is that of the rsync that is installed.
func TestDefaultSkipIsRsyncs(t *testing.T) {
	page, err := exec.Command("man", "rsync").Output()
	if err != nil {
		t.Skip("no manual page of rsync")
	}
	_, rest, _ := strings.Cut(string(page), "The default file suffixes in the skip-compress list")
	_, rest, ok := strings.Cut(rest, "are:")
	if !ok {
		t.Skip("the manual page has no default list")
	}
	list, _, _ := strings.Cut(rest, "This list will be replaced")
	s := Defaults()
	n := 0
	for _, word := range strings.Fields(list) {
		if !regexp.MustCompile(`^[a-z0-9]+$`).MatchString(word) || word == "o" {
			continue // a bullet
		}
		n++
		if !s.Skip().Match("x." + word) {
			t.Errorf("%q is missing", word)
		}
	}
	if n != strings.Count(defaultSkip, "/")+1 {
		t.Errorf("the manual page has %d suffixes", n)
	}
}
