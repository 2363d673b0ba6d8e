package logs

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/zap"
)

const oddName = "esc\x1b[31m nl\n del\x7f c1\u009b2J rtl\u202egnp sep\u2028 bad\xff ok\u00e9 \"q\" \\"

// TestLogIsPlainText: whatever a name or a peer says, a log line is one line of text.
func TestLogIsPlainText(t *testing.T) {
	for _, format := range []string{"console", "json"} {
		var out strings.Builder
		l := mustNew(t, Options{Format: format, Stderr: &out})
		l.Logger().With(zap.String("root", oddName)).Warn("the target says", zap.String("message", oddName))
		line := out.String()
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Errorf("%s: not one line: %q", format, line)
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if obeyed(r) {
				t.Errorf("%s: %U in %q", format, r, line)
			}
		}
		var fields struct{ Root, Message string }
		if err := json.Unmarshal([]byte(line[strings.IndexByte(line, '{'):]), &fields); err != nil {
			t.Fatalf("%s: %v: %q", format, err, line)
		}
		if want := strings.ToValidUTF8(oddName, "\ufffd"); fields.Root != want || fields.Message != want {
			t.Errorf("%s: the fields are %q and %q, want %q", format, fields.Root, fields.Message, want)
		}
	}
}

func TestTerminalText(t *testing.T) {
	var out strings.Builder
	if n, err := (terminalText{&out}).Write([]byte(oddName)); n != len(oddName) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	want := `esc\#033[31m nl` + "\n" + ` del\#177 c1\#302\#2332J rtl\#342\#200\#256gnp sep\#342\#200\#250 bad\#377 ok` + "\u00e9" + ` "q" \`
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	if w := ForTerminal(&out); w != &out {
		t.Errorf("what is no terminal is wrapped: %T", w)
	}
}
