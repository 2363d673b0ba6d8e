package syncertest

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSSHD(t *testing.T) {
	s := StartSSHD(t)
	run := func() (string, error) {
		words := strings.Fields(s.Rsh())
		out, err := exec.Command(words[0], append(words[1:], "-o", "BatchMode=yes", s.Host(), "echo there")...).CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || out != "there\n" {
		t.Errorf("ssh: %v, %q", err, out)
	}
	if err := s.LetIn(false); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err == nil || !strings.Contains(out, "Permission denied (publickey)") {
		t.Errorf("a key that is not authorized: %v, %q", err, out)
	}
	if err := s.TrustHost(false); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err == nil || !strings.Contains(out, "CHANGED") {
		t.Errorf("another host key: %v, %q", err, out)
	}
}
