package report

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// The words are in the real rsync.
func TestWords(t *testing.T) {
	path, err := exec.LookPath("rsync")
	if err != nil {
		t.Fatal(err)
	}
	rsync, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Code{CodeUsage, CodeProtocol, CodeSelect, CodeUnsupported, CodeStart, CodeSocket, CodeFile, CodeStream, CodeIPC, CodeSignal, CodePartial,
		CodeVanished, CodeMaxDelete, CodeTimeout, CodeConTimeout, CodeNoCommand, CodeShell} {
		if !bytes.Contains(rsync, []byte(c.Words())) {
			t.Errorf("%d: rsync has no %q", c, c.Words())
		}
	}
}
