package report

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestWords: they are those that the rsync here says, with the codes that it gives.
func TestWords(t *testing.T) {
	path, err := exec.LookPath("rsync")
	if err != nil {
		if testing.Short() {
			t.Skip("there is no rsync")
		}
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for code, text := range words {
		if !bytes.Contains(program, []byte("\x00"+text+"\x00")) {
			t.Errorf("rsync has no %q, for code %d", text, code)
		}
	}
	if got := Code(77).Words(); got != "unexplained error (code 77)" || !bytes.Contains(program, []byte("\x00unexplained error\x00")) {
		t.Errorf("%q", got)
	}

	dir := t.TempDir()
	for code, args := range map[Code][]string{
		CodeUsage:   {"--no-such-option"},
		CodePartial: {dir + "/none", dir + "/dst"},
		CodeSelect:  {"-r", dir + "/", dir + "/one/two/three"},
		CodeSocket:  {dir, "rsync://127.0.0.1:1/none"},
	} {
		cmd := exec.Command("rsync", args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != int(code) || !strings.Contains(string(out), "rsync error: "+code.Words()+" at ") {
			t.Errorf("rsync %q ends with %v, not %q:\n%s", args, err, code.Words(), out)
		}
	}
}
