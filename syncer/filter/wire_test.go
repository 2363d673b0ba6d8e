package filter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// wireRules has every kind of rule that can be sent.
var wireRules = []string{
	"- *.o", "+ /keep/", "exclude,/ /abs", "-! */", "-p perish", "-x user.*", "-s sender", "-r receiver", "-rs sides",
	"H hide", "S show", "P protect", "R risk", "P,p protect", "protect_under", "include,!p  two spaces", "- a//", "- \xff\n",
	"-,prx!/ all",
	": .r1", ":- .r2", ":+ .r3", ":n .r4", ":w .r5", ":wn- .r6", ":C", ":C .r7", ":e .r8", ":s .r9", ":r .r10", ":rs .r11", ":/p .r12",
	": /.r13", ": ../.r14", ": a/b/.r15/", "dir-merge,nx .r16", ": b/.r1", ":r- .r17", ":s- .r18", "-C", ": /",
}

func TestWire(t *testing.T) {
	withoutCVS(t)
	l := mustList(t, wireRules...)
	got, err := l.Wire(false)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"- *.o", "+ /keep/", "-/ /abs", "-! */", "-p perish", "-x user.*", "-r receiver", "-sr sides",
		"-r protect", "+r risk", "-rp protect", "-r under", "+!p  two spaces", "- a//", "- \xff\n", "-/!xrp all",
		": .r1", ":- .r2", ":+ .r3", ":n .r4", ":w .r5", ":nw- .r6", ":C .cvsignore", ":C .r7", "- .r8", ": .r8", ":r .r10", ":sr .r11", ":/p .r12",
		": /.r13", ": ../.r14", ": a/b/.r15/", ":nx .r16", ":-r .r17",
	}
	for name := range strings.FieldsSeq(cvsExcludes) {
		want = append(want, "-p "+name)
	}
	want = append(want, ": /")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	got, err = l.Wire(true)
	if err != nil {
		t.Fatal(err)
	}
	want = []string{"-r receiver", "-sr sides", "-r protect", "+r risk", "-rp protect", "-r under", "-/!xrp all",
		": .r1", ":n .r4", ":w .r5", ": .r8", ":r .r10", ":sr .r11", ":/p .r12", ": /.r13", ": ../.r14", ": a/b/.r15/", ":nx .r16", ":-r .r17", ": /"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with deleteExcluded (-want +got):\n%s", diff)
	}
}

// withoutCVS takes away what a user's environment adds to the CVS excludes.
func withoutCVS(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("CVSIGNORE", "")
}

func TestWireRefusesWhatReceiversRefuse(t *testing.T) {
	for length, ok := range map[int]bool{5119 - len("- "): true, 5120 - len("- "): false} {
		l := newList([]*rule{newRule(flags{}, strings.Repeat("a", length))}, "")
		if _, err := l.Wire(false); (err == nil) != ok {
			t.Errorf("pattern of %d bytes: err = %v", length, err)
		}
	}
}

// TestWireLikeRsync records what the real client sends to a real server and compares.
func TestWireLikeRsync(t *testing.T) {
	program := needRsync(t)
	withoutCVS(t)
	for _, deleteOption := range []string{"--delete", "--delete-excluded"} {
		t.Run(deleteOption, func(t *testing.T) {
			dir := t.TempDir()
			record := filepath.Join(dir, "record")
			src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
			for _, d := range []string{src, dst} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			// The server must be the process that the client waits for, so the recorder runs beside it.
			shell := fmt.Sprintf("shift\nmkfifo %[1]s.fifo\nexec 3<&0\ntee %[1]s <&3 >%[1]s.fifo 2>/dev/null &\nexec \"$@\" <%[1]s.fifo 3<&-", record)
			syncertest.Script(t, filepath.Join(dir, "sh"), shell)
			args := []string{"-rn", "--protocol=30", "--checksum-choice=md5", "-e", filepath.Join(dir, "sh"), deleteOption}
			for _, rule := range wireRules {
				args = append(args, "--filter="+rule)
			}
			if _, err := runRsync(t, program, append(args, src+"/", "host:"+dst)...); err != nil {
				t.Fatal(err)
			}
			stream, err := os.ReadFile(record)
			if err != nil {
				t.Fatal(err)
			}
			got, err := mustList(t, wireRules...).Wire(deleteOption == "--delete-excluded")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sentRules(t, stream), got); diff != "" {
				t.Errorf("(-rsync +filter):\n%s", diff)
			}
		})
	}
}

// sentRules finds the filter list in a client's stream: behind the protocol version, in frames whose
// header is a length of 24 bits and the tag 7, each rule with its length, ended by a length of 0.
func sentRules(t *testing.T, stream []byte) []string {
	t.Helper()
	var data bytes.Buffer
	for frames := stream[4:]; len(frames) >= 4; {
		header := binary.LittleEndian.Uint32(frames)
		length := int(header & 0xffffff)
		if header>>24 != 7 || len(frames) < 4+length {
			break
		}
		data.Write(frames[4 : 4+length])
		frames = frames[4+length:]
	}
	var rules []string
	for data.Len() >= 4 {
		length := int(binary.LittleEndian.Uint32(data.Next(4)))
		if length == 0 {
			return rules
		}
		rules = append(rules, string(data.Next(length)))
	}
	t.Fatalf("no whole filter list in % x", stream)
	return nil
}
