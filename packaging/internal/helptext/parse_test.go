package helptext

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const sample = `lockstep look, find: see what is there.

  lockstep look -n /abc/           once
  lockstep find --like='*.o' /abc/  by name

and in a script:

  lockstep look -q /abc/ && echo yes

Usage: lockstep look   [-n] [[A=]B…] the things; lockstep peek, quickly
       lockstep find, lose,
                gain [OPTION…] DIR…
                                 what is sought

DIR is a directory, or
two.

What is seen
  -a, --all               everything
      --like=PATTERN=TIME what is like PATTERN
                          for TIME; -i, --like-not=PATTERN: what is not;   --no-case   in any case
  -p --perms, -t --times, -g
  -4, --ipv4; -6, --ipv6
  @NAME                   leave out NAME

  -1st                    a name that is none, in the same section

Exit codes
   0  seen
   3  not seen
      by anybody
`

// TestParse reads a text that has one of each form.
func TestParse(t *testing.T) {
	got, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	want := &Page{
		Title: "lockstep look, find: see what is there",
		Examples: []Remarked{
			{"lockstep look -n /abc/", "once"},
			{"lockstep find --like='*.o' /abc/", "by name"},
			{"lockstep look -q /abc/ && echo yes", "and in a script"},
		},
		Usage: []Remarked{
			{"lockstep look [-n] [[A=]B…]", "the things; lockstep peek, quickly"},
			{"lockstep find, lose, gain [OPTION…] DIR…", "what is sought"},
		},
		Paragraphs: []string{"DIR is a directory, or two."},
		Sections: []Section{
			{"What is seen", []Item{
				{"-a, --all", "everything"},
				{"--like=PATTERN=TIME", "what is like PATTERN for TIME; -i, --like-not=PATTERN: what is not; --no-case: in any case"},
				{"-p --perms, -t --times, -g", ""},
				{"-4, --ipv4; -6, --ipv6", ""},
				{"@NAME", "leave out NAME"},
				{"-1st", "a name that is none, in the same section"},
			}},
			{"Exit codes", []Item{{"0", "seen"}, {"3", "not seen by anybody"}}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Page{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"look"}, {"peek"}, {"find", "lose", "gain"}}, got.Verbs()); diff != "" {
		t.Error(diff)
	}
	got.Verb = "look"
	if got.What() != "see what is there" {
		t.Errorf("What() = %q", got.What())
	}
	apart := got.Sections[0].Items[1].Apart()
	if diff := cmp.Diff([]Item{
		{"--like=PATTERN=TIME", "what is like PATTERN for TIME"},
		{"-i, --like-not=PATTERN", "what is not"},
		{"--no-case", "in any case"},
	}, apart); diff != "" {
		t.Error(diff)
	}
}

func TestOptions(t *testing.T) {
	for in, want := range map[string]string{
		"-p --perms, -t --times (parts of -a), -g": "-p --perms -t --times -a -g",
		"--compress=zstd, or so (also --zc=…)":     "--compress=zstd --zc=…",
		"--max-delete=N, as in -1 or a-b":          "--max-delete=N",
		"-@, --modify-window=N":                    "-@ --modify-window=N",
		"-rlptgoD: the default":                    "",
	} {
		if got := strings.Join(Options(in), " "); got != want {
			t.Errorf("Options(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"", "\n\n", "something else\n", "lockstep does\n\nno more\n"} {
		if p, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v", text, p)
		}
	}
}
